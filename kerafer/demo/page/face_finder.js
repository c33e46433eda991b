// Faces, found in this browser by BlazeFace.
//
// The network sees a square of 128 pixels and finds faces that fill an eighth
// of it or more, so a picture is looked at whole, and then in parts.
//
// Source: Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection
// on Mobile GPUs", 2019; anchors and decoding as in MediaPipe's
// face_detection_short_range.

import { loadModel } from "./litert.js";
import { resize } from "./pixels.js";

const SIDE = 128;
// Of two layers; the coarser has three times as many anchors a cell.
const LAYERS = [
  { cells: 16, each: 2 },
  { cells: 8, each: 6 },
];
const ANCHORS = LAYERS.flatMap(({ cells, each }) =>
  Array.from({ length: cells * cells * each }, (_, index) => {
    const cell = Math.floor(index / each);
    return [(cell % cells) + 0.5, Math.floor(cell / cells) + 0.5].map(
      (place) => place / cells,
    );
  }),
);
// Of a copy whose longer side has so many pixels, views whose side is a part
// of that. The first has room for faces that fill the picture; parts show noses
// and ears as well as faces, and must be surer. A camera's frames make do with
// the first copy.
const COPIES = [
  {
    longest: 512,
    looks: [
      { part: 1.5, least: 0.5 },
      { part: 1, least: 0.5 },
      { part: 0.5, least: 0.7 },
    ],
  },
  { longest: 1024, looks: [{ part: 0.25, least: 0.7 }] },
];
// Nearer to a cut than this, a part of the view, a face may be cut as well.
const CUT = 0.02;
const SMALLEST_VIEW = 48;
// Two boxes of one view with so much in common are of one face, as MediaPipe
// has it; of two views, if so much of the smaller lies in the other.
const SAME = 0.3;
// From BlazeFace's box, brows to chin, to that of MTCNN, with which the models
// were trained: medians over drawn faces and portraits.
const LIKE_MTCNN = { right: 0.015, down: -0.08, width: 0.94, height: 1.23 };
const TOLD =
  "BlazeFace finds the faces here, and another detector in kerafer predict. " +
  "For the same crop both give the same answer, but the crops differ by a " +
  "few percent, which changes about one answer in ten.";
// As kerafer.faces.padded_retry: no more pixels show one face or nothing.
const THUMBNAIL = 64;

/** For models that learnt whole pictures. */
export const wholeFinder = {
  by: "",
  told: "It takes pictures whole.",

  async find({ width, height }) {
    return [[0, 0, width, height]];
  },
};

/** Load the network; fails where LiteRT.js is not there. */
export async function openFaceFinder() {
  const model = await loadModel("face_detector.tflite");

  /**
   * The boxes on a picture, largest first: x, y, width and height, pixels.
   *
   * @param {ImageData} image The picture.
   * @param getBytes Not called.
   * @param {boolean} live Whether it is a frame of many.
   */
  async function find(image, getBytes, live) {
    const found = [];
    for (const { longest, looks } of live ? COPIES.slice(0, 1) : COPIES) {
      const shrunk = shrink(image, longest);
      const times = image.width / shrunk.width;
      for (const { part, least } of looks) {
        for (const view of views(shrunk, part)) {
          for (const { box, score } of await look(shrunk, view, least)) {
            found.push({ box: box.map((side) => side * times), score });
          }
        }
      }
    }
    const boxes = distinct(found).map(({ box }) => likeMtcnn(box));
    boxes.sort((one, other) => other[2] * other[3] - one[2] * one[3]);
    return boxes.length ? boxes : thumbnail(image);
  }

  async function look(picture, view, least) {
    const square = resize(cut(picture, view), SIDE, SIDE);
    const outputs = await model.run(scaled(square.pixels));
    outputs.sort((one, other) => other.length - one.length);
    const whole = ([x, y, width, height]) => [
      view.left + x * view.side,
      view.top + y * view.side,
      width * view.side,
      height * view.side,
    ];
    return decode(...outputs, least)
      .map(({ box, score }) => ({ box: whole(box), score }))
      .filter(({ box }) => !isCut(box, view, picture));
  }

  return { by: "BlazeFace", told: TOLD, find };
}

/** From -1 to 1; a loop is ten times as fast as a function for each. */
function scaled(pixels) {
  const values = new Float32Array(pixels.length);
  for (let index = 0; index < values.length; index++) {
    values[index] = pixels[index] / 127.5 - 1;
  }
  return values;
}

/** Boxes as centre, width and height, parts of the view, and their scores. */
function decode(regressors, classifiers, least) {
  const stride = regressors.length / ANCHORS.length;
  const found = [];
  ANCHORS.forEach(([x, y], index) => {
    const score = 1 / (1 + Math.exp(-classifiers[index]));
    if (score >= least) {
      const at = index * stride;
      const box = Array.from(regressors.slice(at, at + 4), (v) => v / SIDE);
      box[0] += x;
      box[1] += y;
      found.push({ box, score });
    }
  });
  return averaged(found);
}

/** Of boxes that overlap, their mean, weighted by the scores. */
function averaged(found) {
  let left = found.toSorted((one, other) => other.score - one.score);
  const faces = [];
  while (left.length) {
    const [first] = left;
    const isOf = ({ box }) => jaccard(first.box, box) > SAME;
    const group = [first, ...left.slice(1).filter(isOf)];
    left = left.filter((each) => !group.includes(each));
    const sum = group.reduce((total, { score }) => total + score, 0);
    const box = first.box.map((_, side) =>
      group.reduce((total, x) => total + (x.box[side] * x.score) / sum, 0),
    );
    faces.push({ box, score: first.score });
  }
  return faces;
}

/** Of faces that were seen in several views, the surest. */
function distinct(found) {
  const faces = [];
  for (const face of found.toSorted((a, b) => b.score - a.score)) {
    if (faces.every(({ box }) => covered(box, face.box) < SAME)) {
      faces.push(face);
    }
  }
  return faces;
}

function jaccard(one, other) {
  const both = common(one, other);
  return both / (one[2] * one[3] + other[2] * other[3] - both);
}

function covered(one, other) {
  const smaller = Math.min(one[2] * one[3], other[2] * other[3]);
  return common(one, other) / smaller;
}

function common(one, other) {
  const [across, down] = [0, 1].map((axis) => {
    const end = (box) => box[axis] + box[axis + 2] / 2;
    const start = (box) => box[axis] - box[axis + 2] / 2;
    const last = Math.min(end(one), end(other));
    return Math.max(0, last - Math.max(start(one), start(other)));
  });
  return across * down;
}

/** The squares to look at, half over one another. */
function views({ width, height }, part) {
  const side = Math.round(part * Math.max(width, height));
  if (part < 1 && side < SMALLEST_VIEW) {
    return [];
  }
  const lefts = places(width, side);
  return places(height, side).flatMap((top) =>
    lefts.map((left) => ({ left, top, side })),
  );
}

function places(size, side) {
  if (side >= size) {
    return [Math.round((size - side) / 2)];
  }
  const steps = Math.ceil((size - side) / (side / 2));
  return Array.from({ length: steps + 1 }, (_, index) =>
    Math.round((index * (size - side)) / steps),
  );
}

/** Whether a box reaches an edge of its view beyond which the picture goes. */
function isCut([x, y, width, height], { left, top, side }, picture) {
  const room = CUT * side;
  return (
    (left > 0 && x - width / 2 < left + room) ||
    (top > 0 && y - height / 2 < top + room) ||
    (left + side < picture.width && x + width / 2 > left + side - room) ||
    (top + side < picture.height && y + height / 2 > top + side - room)
  );
}

/** A square of a picture, R, G, B; black beyond the picture's edges. */
function cut({ width, height, data }, { left, top, side }) {
  const pixels = new Uint8Array(side * side * 3);
  const [from, to] = [Math.max(0, left), Math.min(width, left + side)];
  const last = Math.min(height, top + side);
  for (let row = Math.max(0, top); row < last; row++) {
    let at = ((row - top) * side + from - left) * 3;
    for (let pixel = row * width + from; pixel < row * width + to; pixel++) {
      pixels[at++] = data[pixel * 4];
      pixels[at++] = data[pixel * 4 + 1];
      pixels[at++] = data[pixel * 4 + 2];
    }
  }
  return { width: side, height: side, pixels };
}

/** A copy whose longer side has no more than so many pixels. */
function shrink(image, longest) {
  const scale = longest / Math.max(image.width, image.height);
  if (scale >= 1) {
    return image;
  }
  const { width, height } = image;
  const [across, down] = [width, height].map((n) =>
    Math.max(1, Math.round(n * scale)),
  );
  const large = new OffscreenCanvas(width, height);
  large.getContext("2d").putImageData(image, 0, 0);
  const small = new OffscreenCanvas(across, down).getContext("2d");
  small.imageSmoothingQuality = "high";
  small.drawImage(large, 0, 0, across, down);
  return small.getImageData(0, 0, across, down);
}

function likeMtcnn([x, y, width, height]) {
  const { right, down, ...like } = LIKE_MTCNN;
  const [across, high] = [width * like.width, height * like.height];
  const left = x + right * width - across / 2;
  const top = y + down * height - high / 2;
  return [left, top, across, high].map(Math.round);
}

function thumbnail({ width, height, data }) {
  const taken =
    Math.max(width, height) <= THUMBNAIL &&
    data.some((value, index) => value !== data[index % 4]);
  return taken ? [[0, 0, width, height]] : [];
}
