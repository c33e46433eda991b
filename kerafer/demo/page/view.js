// What the page shows: the picture, its boxes, the bars, the messages.

const SVG = "http://www.w3.org/2000/svg";
const find = (id) => document.getElementById(id);

const canvas = find("picture");
// A canvas that is often read is kept where reading is exact and quick.
const pen = canvas.getContext("2d", { willReadFrequently: true });
const result = find("result");
const bars = [];

/** One bar a class, in the model's order. */
export function makeBars(labels) {
  const list = find("bars");
  for (const label of labels) {
    const row = list.appendChild(document.createElement("li"));
    add(row, "name").textContent = label;
    const track = add(row, "track");
    track.setAttribute("aria-hidden", "true");
    const fill = add(track, "fill");
    bars.push({ row, label, fill, share: add(row, "share") });
  }
}

/** Draw an image or a video's frame, and return its pixels. */
export function showPicture(source, width, height) {
  canvas.width = width;
  canvas.height = height;
  pen.fillStyle = "white";
  pen.fillRect(0, 0, width, height);
  pen.drawImage(source, 0, 0, width, height);
  find("stage").classList.add("filled");
  return pen.getImageData(0, 0, width, height);
}

export function clearPicture() {
  find("stage").classList.remove("filled");
  showCaption("");
  showBoxes([]);
}

/** The picture that is shown, as the bytes of a PNG file. */
export function pictureBytes() {
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/** Frames around the faces, the first of which is the one that is read. */
export function showBoxes(boxes) {
  const sheet = find("boxes");
  sheet.setAttribute("viewBox", `0 0 ${canvas.width} ${canvas.height}`);
  sheet.replaceChildren(
    ...boxes.flatMap((box, index) =>
      ["under", index ? "other" : "read"].map((kind) => frame(box, kind)),
    ),
  );
  const several = `${boxes.length} faces found; the largest is read`;
  const text = ["no face found", "one face found"][boxes.length] ?? several;
  canvas.setAttribute("aria-label", `The picture: ${text}`);
  find("count").textContent = boxes.length > 1 ? text : "";
}

/** The probabilities as bars, and all digits of them for programs. */
export function showProbabilities(probabilities, box, engine) {
  const top = probabilities.indexOf(Math.max(...probabilities));
  bars.forEach(({ row, fill, share }, index) => {
    const percent = probabilities[index] * 100;
    row.classList.toggle("top", index === top);
    fill.style.width = `${percent}%`;
    share.textContent = `${Math.round(percent)}%`;
  });
  const percent = Math.round(probabilities[top] * 100);
  find("answer").textContent = `${bars[top].label}, ${percent}%`;
  Object.assign(result.dataset, {
    probabilities: JSON.stringify(probabilities),
    box: JSON.stringify(box),
    engine,
  });
}

/** What people would say, in words; nothing for other models. */
export function showVotes(text) {
  find("votes").textContent = text;
}

/** Empty the bars, and say why. */
export function showNothing(text) {
  find("answer").textContent = text;
  showVotes("");
  for (const { row, fill, share } of bars) {
    row.classList.remove("top");
    fill.style.width = "0";
    share.textContent = "";
  }
  delete result.dataset.probabilities;
}

/** `starting`, `ready`, `working`, `shown`, `faceless` or `failed`. */
export function setState(state) {
  result.dataset.state = state;
  result.setAttribute("aria-busy", String(state === "working"));
  offerWhole();
}

export function setCamera(running) {
  find("stage").classList.toggle("live", running);
  offerWhole();
  find("camera").textContent = running ? "Stop the camera" : "Use the camera";
  // Several answers a second are too many to be read out.
  find("answer").setAttribute("aria-live", running ? "off" : "polite");
}

export function mirror(on) {
  find("stage").classList.toggle("mirrored", on);
}

export function showCaption(text) {
  find("caption").textContent = text;
}

export function showEngine(text) {
  find("engine").textContent = text;
}

function offerWhole() {
  const live = find("stage").classList.contains("live");
  find("whole").hidden = live || result.dataset.state !== "faceless";
}

function add(parent, kind) {
  const element = parent.appendChild(document.createElement("span"));
  element.className = kind;
  return element;
}

function frame([x, y, width, height], kind) {
  const shape = document.createElementNS(SVG, "rect");
  const values = { x, y, width, height, class: kind };
  for (const [name, value] of Object.entries(values)) {
    shape.setAttribute(name, value);
  }
  return shape;
}
