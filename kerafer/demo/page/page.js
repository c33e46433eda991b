// The page: a picture comes in, faces are found, and each of them is read.

import { Camera } from "./camera.js";
import { openFaceFinder, wholeFinder } from "./face_finder.js";
import { markFace, showFaces } from "./faces_view.js";
import { openLiteRt } from "./litert_engine.js";
import { cropFace, resize } from "./pixels.js";
import { pythonEngine, pythonFinder } from "./python_engine.js";
import * as view from "./view.js";
import { tellVotes } from "./votes.js";

const find = (id) => document.getElementById(id);
const camera = new Camera(find("video"));
let facts;
let engine;
let finder;
let image;
let faces = [];
let chosen = 0;
let examples = 0;
// A picture's turn is over when the next one comes; late answers are dropped.
let turn = 0;

async function start() {
  view.setState("starting");
  facts = await loadFacts();
  view.makeBars(facts.labels);
  const served = facts.faces === "python";
  finder = await chooseFinder(served);
  const told = served ? await chooseEngine() : await hereAlone(openHere);
  view.showPlaces({
    engine: `${told} ${finder.told}`,
    privacy: served
      ? "Nothing leaves this machine, and no picture is kept."
      : "No picture leaves this browser.",
    model: facts.model,
  });
  view.setEngine(engine.name);
  for (const button of document.querySelectorAll("button, input")) {
    button.disabled = false;
  }
  view.showNothing("No picture yet.");
  view.setState("ready");
}

async function loadFacts() {
  try {
    const answer = await fetch("facts.json");
    if (!answer.ok) {
      throw new Error(`the server answers ${answer.status}`);
    }
    return await answer.json();
  } catch (error) {
    throw new Error(
      `The page's file facts.json can't be read (${error.message}). Start ` +
        "kerafer demo, or write the page's folder anew with kerafer demo " +
        "--write, then reload.",
    );
  }
}

async function chooseFinder(served) {
  if (facts.whole) {
    return wholeFinder;
  }
  return served ? pythonFinder : await hereAlone(openFaceFinder);
}

async function chooseEngine() {
  let reason = "LiteRT.js is not installed (kerafer demo --install)";
  if (facts.litert) {
    try {
      return await openHere();
    } catch (error) {
      reason = `LiteRT.js can't run this model (${error.message})`;
    }
  }
  engine = pythonEngine;
  return `Python on this machine runs the model: ${reason}.`;
}

async function openHere() {
  engine = await openLiteRt(facts);
  return "LiteRT.js in this browser runs the model.";
}

async function hereAlone(open) {
  try {
    return await open();
  } catch (error) {
    throw new Error(
      `LiteRT.js can't run this page's models in this browser (` +
        `${error.message}). Try a current Chrome, Edge, Firefox or Safari.`,
    );
  }
}

/** Do something with a new picture; whatever fails is told. */
async function attempt(work) {
  const mine = ++turn;
  const current = () => mine === turn;
  view.setState("working");
  try {
    await work(current);
  } catch (error) {
    if (current()) {
      fail(error);
    }
  }
}

function fail(error) {
  stopCamera();
  view.clearPicture();
  showFaces([]);
  view.showNothing(error.message);
  view.setState("failed");
}

async function readFile(file, caption, current) {
  stopCamera();
  if (file.size > facts.most_bytes) {
    const most = Math.round(facts.most_bytes / 1e6);
    throw new Error(
      `A picture has at most ${most} MB. Choose a smaller file.`,
    );
  }
  const bitmap = await decode(file);
  if (!current()) {
    return;
  }
  view.mirror(false);
  image = view.showPicture(bitmap, bitmap.width, bitmap.height);
  bitmap.close();
  showFaces([]);
  view.showCaption(caption);
  await findAndRead(() => file, current);
}

async function decode(file) {
  // Python does not look at colour profiles either.
  const options = { colorSpaceConversion: "none" };
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, options);
  } catch {
    throw new Error(
      "This browser can't read that file as a picture. Choose a JPEG, PNG " +
        "or WebP file.",
    );
  }
  const pixels = bitmap.width * bitmap.height;
  if (pixels > facts.most_pixels) {
    bitmap.close();
    const million = (count) => Math.round(count / 1e6);
    throw new Error(
      `A picture has at most ${million(facts.most_pixels)} million pixels, ` +
        `this one ${million(pixels)}. Make it smaller, then choose it again.`,
    );
  }
  return bitmap;
}

async function findAndRead(getBytes, current) {
  const begun = performance.now();
  const boxes = await finder.find(image, getBytes, camera.running);
  const found = performance.now();
  if (!current()) {
    return;
  }
  if (!boxes.length) {
    showFaces([]);
    view.showNothing("No face was found.");
    view.setState("faceless");
    return;
  }
  chosen = camera.running ? nearest(boxes) : 0;
  await readFaces(boxes, current, found - begun);
}

/** The one of new boxes where the chosen face was. */
function nearest(boxes) {
  const before = faces[chosen]?.box;
  if (!before) {
    return 0;
  }
  const middle = ([x, y, width, height]) => [x + width / 2, y + height / 2];
  const [x, y] = middle(before);
  const away = boxes.map((box) => {
    const [across, down] = middle(box);
    return Math.hypot(across - x, down - y);
  });
  return away.indexOf(Math.min(...away));
}

async function readFaces(boxes, current, searched) {
  const [height, width] = facts.input;
  const read = [];
  const begun = performance.now();
  for (const box of boxes) {
    const face = resize(cropFace(image, box, facts.margin), width, height);
    const probabilities = await engine.run(face);
    if (!current()) {
      return;
    }
    read.push({ box, probabilities });
  }
  const each = (performance.now() - begun) / boxes.length;
  faces = read;
  const labelled = faces.map(({ box, probabilities }) => {
    const { label, percent, sure } = answerOf(probabilities);
    return sure
      ? { box, label, percent }
      : { box, label: "unsure", percent: "" };
  });
  showFaces(labelled, find("stage").classList.contains("mirrored"), choose);
  choose(chosen);
  view.showSpeed(speed(searched, each));
  view.setState("shown");
}

/** The likeliest class, and whether the page would say it. */
function answerOf(probabilities) {
  const most = Math.max(...probabilities);
  return {
    label: facts.labels[probabilities.indexOf(most)],
    percent: view.inPercent(most),
    sure: most >= facts.unsure,
  };
}

/** Show the answer for one of the faces. */
function choose(index) {
  chosen = index;
  const { box, probabilities } = faces[index];
  const { label, percent, sure } = answerOf(probabilities);
  const answer = `${label}, ${percent}`;
  const several = faces.length > 1;
  const limit = view.inPercent(facts.unsure);
  view.showAnswer({
    text: sure ? answer : `Unsure: ${answer}`,
    note: sure ? "" : `Below ${limit} this page says unsure.`,
    which: several ? `Face ${index + 1} of ${faces.length}` : "",
    probabilities,
    box,
  });
  if (facts.votes) {
    const told = tellVotes(facts.labels, probabilities, facts.votes);
    view.showVotes(`${told[0].toUpperCase()}${told.slice(1)}.`);
  }
  markFace(index);
}

function speed(searched, each) {
  const read = `read in ${milliseconds(each)} by ${engine.by}.`;
  return searched === undefined || facts.whole
    ? `The picture was ${read}`
    : `Faces found in ${milliseconds(searched)} by ${finder.by}, each ${read}`;
}

function milliseconds(time) {
  return `${time < 10 ? time.toFixed(1) : Math.round(time)} ms`;
}

async function toggleCamera() {
  if (camera.running) {
    stopCamera();
    return;
  }
  await attempt(async (current) => {
    await camera.start();
    if (!current()) {
      camera.stop();
      return;
    }
    view.mirror(true);
    view.setCamera(true);
    view.showCaption("");
    faces = [];
    await camera.watch(async (video) => {
      view.setState("working");
      image = view.showPicture(video, video.videoWidth, video.videoHeight);
      await findAndRead(view.pictureBytes, current);
    });
  });
}

/** What is shown last stays, with the frame that it was read from. */
function stopCamera() {
  camera.stop();
  view.setCamera(false);
}

function readFirst([file]) {
  if (file) {
    attempt((current) => readFile(file, file.name, current));
  }
}

function readExample() {
  const { path, caption } = facts.examples[examples++ % facts.examples.length];
  attempt(async (current) => {
    const answer = await fetch(path).catch(() => null);
    if (!answer?.ok) {
      throw new Error(
        "The example does not come: the page's server has ended. Start it " +
          "again, then try once more.",
      );
    }
    await readFile(await answer.blob(), caption, current);
  });
}

function readWhole() {
  const box = [0, 0, image.width, image.height];
  chosen = 0;
  attempt((current) => readFaces([box], current));
}

function listen() {
  find("choose").addEventListener("click", () => find("file").click());
  find("file").addEventListener("change", ({ target }) => {
    // The files are gone with the value.
    readFirst([...target.files]);
    target.value = "";
  });
  find("camera").addEventListener("click", toggleCamera);
  find("example").addEventListener("click", readExample);
  find("whole").addEventListener("click", readWhole);
  document.addEventListener("paste", ({ clipboardData }) => {
    readFirst(clipboardData.files);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => {
    document.body.classList.toggle("dragging", relatedTarget !== null);
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    readFirst(event.dataTransfer.files);
  });
}

try {
  await start();
  listen();
} catch (error) {
  fail(error);
}
