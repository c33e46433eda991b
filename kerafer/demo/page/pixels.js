// The pixels a model sees, as kerafer.faces and kerafer.images make
// them: a square around the face, resized as OpenCV does.
//
// A picture is {width, height, pixels}, the pixels R, G, B in a Uint8Array.

// OpenCV interpolates with weights of 11 bits.
const ONE = 2048;

/** The nearest integer; halves go to the even one, as in Python and C. */
function rounded(value) {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
}

/**
 * The square around a face, of a canvas' ImageData.
 *
 * The box is x, y, width and height; the margin a part of its longer side. A
 * box that is the picture itself takes it whole. Beyond the edge, the edge's
 * pixels are repeated.
 */
export function cropFace(image, box, margin) {
  const { left, top, width, height } = area(image, box, margin);
  const pixels = new Uint8Array(width * height * 3);
  for (let row = 0, to = 0; row < height; row++) {
    const line = clamp(top + row, image.height) * image.width;
    for (let column = 0; column < width; column++) {
      const from = (line + clamp(left + column, image.width)) * 4;
      pixels[to++] = image.data[from];
      pixels[to++] = image.data[from + 1];
      pixels[to++] = image.data[from + 2];
    }
  }
  return { width, height, pixels };
}

function area(image, [x, y, width, height], margin) {
  if (!x && !y && width === image.width && height === image.height) {
    return { left: 0, top: 0, width, height };
  }
  const longer = Math.max(width, height) * (1 + 2 * margin);
  const side = Math.max(1, rounded(longer));
  const left = rounded(x + width / 2 - side / 2);
  const top = rounded(y + height / 2 - side / 2);
  return { left, top, width: side, height: side };
}

/** A picture of another size: axes that shrink first, then those that grow. */
export function resize(picture, width, height) {
  const shrunk = averaged(
    picture,
    Math.min(width, picture.width),
    Math.min(height, picture.height),
  );
  return interpolated(shrunk, width, height);
}

/** The brightness of each pixel, as cv2.COLOR_RGB2GRAY. */
export function gray({ pixels }) {
  const values = new Uint8Array(pixels.length / 3);
  for (let to = 0, from = 0; to < values.length; to++, from += 3) {
    values[to] =
      (9798 * pixels[from] +
        19235 * pixels[from + 1] +
        3735 * pixels[from + 2] +
        16384) >>
      15;
  }
  return values;
}

function clamp(index, size) {
  return Math.min(Math.max(index, 0), size - 1);
}

/** Means over areas: cv2.INTER_AREA for axes that shrink. */
function averaged(picture, width, height) {
  if (picture.width === width && picture.height === height) {
    return picture;
  }
  const across = picture.width / width;
  const down = picture.height / height;
  return Number.isInteger(across) && Number.isInteger(down)
    ? wholeAreas(picture, width, height, across, down)
    : partialAreas(picture, width, height);
}

/** Areas of whole pixels, whose sums are exact. */
function wholeAreas(picture, width, height, across, down) {
  const pixels = new Uint8Array(width * height * 3);
  const share = Math.fround(1 / (across * down));
  const halvesUp = across === 2 && down === 2;
  for (let row = 0, to = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let y = row * down; y < (row + 1) * down; y++) {
          let from = (y * picture.width + column * across) * 3 + channel;
          for (let x = 0; x < across; x++, from += 3) {
            sum += picture.pixels[from];
          }
        }
        pixels[to++] = halvesUp
          ? (sum + 2) >> 2
          : rounded(Math.fround(sum * share));
      }
    }
  }
  return { width, height, pixels };
}

/** Areas that cut through pixels, summed in single precision as there. */
function partialAreas(picture, width, height) {
  const columns = overlaps(picture.width, width);
  const rows = overlaps(picture.height, height);
  const pixels = new Uint8Array(width * height * 3);
  const line = new Float32Array(width * 3);
  const sums = new Float32Array(width * 3);
  rows.forEach((parts, row) => {
    sums.fill(0);
    for (const { from, share } of parts) {
      averageLine(picture, from, columns, line);
      for (let i = 0; i < sums.length; i++) {
        sums[i] += Math.fround(line[i] * share);
      }
    }
    const start = row * width * 3;
    for (let i = 0; i < sums.length; i++) {
      pixels[start + i] = Math.min(255, rounded(sums[i]));
    }
  });
  return { width, height, pixels };
}

function averageLine(picture, row, columns, line) {
  line.fill(0);
  columns.forEach((parts, column) => {
    for (const { from, share } of parts) {
      const start = (row * picture.width + from) * 3;
      for (let channel = 0; channel < 3; channel++) {
        const part = Math.fround(picture.pixels[start + channel] * share);
        line[column * 3 + channel] += part;
      }
    }
  });
}

/** For each new pixel, the old ones that it covers and their shares. */
function overlaps(size, target) {
  // Twice inverted, as OpenCV does, which is not always the quotient.
  const scale = 1 / (target / size);
  return Array.from({ length: target }, (_, index) => {
    const start = index * scale;
    const end = start + scale;
    const cell = Math.min(scale, size - start);
    const last = Math.min(Math.floor(end), size - 1);
    const first = Math.min(Math.ceil(start), last);
    const parts = [];
    const add = (from, share) =>
      parts.push({ from, share: Math.fround(share / cell) });
    if (first - start > 1e-3) {
      add(first - 1, first - start);
    }
    for (let from = first; from < last; from++) {
      add(from, 1);
    }
    if (end - last > 1e-3) {
      add(last, Math.min(end - last, 1, cell));
    }
    return parts;
  });
}

/** Between the four nearest pixels: cv2.INTER_LINEAR for axes that grow. */
function interpolated(picture, width, height) {
  if (picture.width === width && picture.height === height) {
    return picture;
  }
  const columns = neighbours(picture.width, width);
  const rows = neighbours(picture.height, height);
  const pixels = new Uint8Array(width * height * 3);
  const stride = picture.width * 3;
  let to = 0;
  for (const row of rows) {
    for (const column of columns) {
      for (let channel = 0; channel < 3; channel++) {
        const across = (line) => {
          const start = line * stride + channel;
          return (
            picture.pixels[start + column.first * 3] * column.firstWeight +
            picture.pixels[start + column.second * 3] * column.secondWeight
          );
        };
        const above = (row.firstWeight * (across(row.first) >> 4)) >> 16;
        const below = (row.secondWeight * (across(row.second) >> 4)) >> 16;
        pixels[to++] = (above + below + 2) >> 2;
      }
    }
  }
  return { width, height, pixels };
}

/** For each new pixel, the two old ones beside it and their weights. */
function neighbours(size, target) {
  const scale = 1 / (target / size);
  return Array.from({ length: target }, (_, index) => {
    const place = Math.fround((index + 0.5) * scale - 0.5);
    const below = Math.floor(place);
    const rest = Math.fround(place - below);
    return {
      first: clamp(below, size),
      second: clamp(below + 1, size),
      firstWeight: rounded(Math.fround(Math.fround(1 - rest) * ONE)),
      secondWeight: rounded(Math.fround(rest * ONE)),
    };
  });
}
