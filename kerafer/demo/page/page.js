// The page: a picture comes in, faces are found, the largest is read.

import { Camera } from "./camera.js";
import { openLiteRt } from "./litert_engine.js";
import { cropFace, resize } from "./pixels.js";
import { findFaces, python } from "./python_engine.js";
import * as view from "./view.js";
import { tellVotes } from "./votes.js";

const find = (id) => document.getElementById(id);
const camera = new Camera(find("video"));
let facts;
let engine;
let image;
let drawn = 0;
// A picture's turn is over when the next one comes; late answers are dropped.
let turn = 0;

async function start() {
  view.setState("starting");
  facts = await (await fetch("/facts.json")).json();
  view.makeBars(facts.labels);
  find("model").textContent = facts.model;
  await chooseEngine();
  for (const button of document.querySelectorAll("button, input")) {
    button.disabled = false;
  }
  view.showNothing("No picture yet.");
  view.setState("ready");
}

async function chooseEngine() {
  if (!facts.litert) {
    return usePython("LiteRT.js is not installed (kerafer demo --install)");
  }
  try {
    engine = await openLiteRt(facts);
    view.showEngine("LiteRT.js in this browser runs the model.");
  } catch (error) {
    usePython(`LiteRT.js can't run this model (${error.message})`);
  }
}

function usePython(reason) {
  engine = python;
  view.showEngine(`Python on this machine runs the model: ${reason}.`);
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
      stopCamera();
      view.clearPicture();
      view.showNothing(error.message);
      view.setState("failed");
    }
  }
}

async function readFile(file, caption, current) {
  stopCamera();
  if (file.size > facts.most_bytes) {
    const most = Math.round(facts.most_bytes / 1e6);
    throw new Error(`A picture has at most ${most} MB.`);
  }
  const bitmap = await decode(file);
  if (!current()) {
    return;
  }
  view.mirror(false);
  image = view.showPicture(bitmap, bitmap.width, bitmap.height);
  bitmap.close();
  view.showBoxes([]);
  view.showCaption(caption);
  await readFaces(file, current);
}

async function decode(file) {
  // Python does not look at colour profiles either.
  const options = { colorSpaceConversion: "none" };
  try {
    return await createImageBitmap(file, options);
  } catch {
    throw new Error("This browser can't read that file as a picture.");
  }
}

async function readFaces(bytes, current) {
  const boxes = await findFaces(bytes);
  if (!current()) {
    return;
  }
  view.showBoxes(boxes);
  if (boxes.length) {
    await readFace(boxes[0], current);
  } else {
    view.showNothing("No face was found.");
    view.setState("faceless");
  }
}

async function readFace(box, current) {
  const [height, width] = facts.input;
  const face = resize(cropFace(image, box, facts.margin), width, height);
  const probabilities = await engine.run(face);
  if (current()) {
    view.showProbabilities(probabilities, box, engine.name);
    if (facts.votes) {
      const told = tellVotes(facts.labels, probabilities, facts.votes);
      view.showVotes(`${told[0].toUpperCase()}${told.slice(1)}.`);
    }
    view.setState("shown");
  }
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
    await camera.watch(async (video) => {
      view.setState("working");
      image = view.showPicture(video, video.videoWidth, video.videoHeight);
      await readFaces(await view.pictureBytes(), current);
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

function readDrawn() {
  const { path, caption } = facts.drawn[drawn++ % facts.drawn.length];
  attempt(async (current) => {
    const file = await (await fetch(path)).blob();
    await readFile(file, caption, current);
  });
}

function readWhole() {
  const box = [0, 0, image.width, image.height];
  attempt((current) => readFace(box, current));
}

function listen() {
  find("choose").addEventListener("click", () => find("file").click());
  find("file").addEventListener("change", ({ target }) => {
    readFirst(target.files);
    target.value = "";
  });
  find("camera").addEventListener("click", toggleCamera);
  find("drawn").addEventListener("click", readDrawn);
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

await start();
listen();
