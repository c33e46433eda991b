// What the page shows beside the faces: the picture, the bars, the messages.

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
    bars.push({ row, fill, share: add(row, "share") });
  }
}

/** As kerafer.runtime.results has it: `"87%"`, and never `"100%"`. */
export function inPercent(probability) {
  return probability >= 0.995 ? ">99%" : `${Math.round(probability * 100)}%`;
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
}

/** The picture that is shown, as the bytes of a PNG file. */
export function pictureBytes() {
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/**
 * The answer for one face, its bars, and all digits of them for programs.
 *
 * @param {string} text The answer.
 * @param {string} note What must be known of it, or "".
 * @param {string} which Which face it is of, or "".
 * @param probabilities Of each class.
 * @param box Of the face.
 */
export function showAnswer({ text, note, which, probabilities, box }) {
  const top = probabilities.indexOf(Math.max(...probabilities));
  bars.forEach(({ row, fill, share }, index) => {
    row.classList.toggle("top", index === top);
    fill.style.width = `${probabilities[index] * 100}%`;
    share.textContent = inPercent(probabilities[index]);
  });
  find("which").textContent = which;
  find("answer").textContent = text;
  find("note").textContent = note;
  result.classList.toggle("unsure", note !== "");
  Object.assign(result.dataset, {
    probabilities: JSON.stringify(probabilities),
    box: JSON.stringify(box),
  });
}

/** What people would say, in words; nothing for other models. */
export function showVotes(text) {
  find("votes").textContent = text;
}

/** How long it took, and by what. */
export function showSpeed(text) {
  find("speed").textContent = text;
}

/** Empty the bars, and say why. */
export function showNothing(text) {
  find("answer").textContent = text;
  for (const name of ["which", "note", "votes", "speed"]) {
    find(name).textContent = "";
  }
  result.classList.remove("unsure");
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

/** Tell programs who runs the model. */
export function setEngine(name) {
  result.dataset.engine = name;
}

export function setCamera(running) {
  document.body.classList.toggle("live", running);
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

/** Who does what, at the bottom. */
export function showPlaces({ engine, privacy, model }) {
  find("engine").textContent = engine;
  find("privacy").textContent = privacy;
  find("model").textContent = model;
}

function offerWhole() {
  const live = document.body.classList.contains("live");
  find("whole").hidden = live || result.dataset.state !== "faceless";
}

function add(parent, kind) {
  const element = parent.appendChild(document.createElement("span"));
  element.className = kind;
  return element;
}
