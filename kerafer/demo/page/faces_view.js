// The faces on the picture: a frame around each, that tells its expression.

const sheet = document.getElementById("faces");
const canvas = document.getElementById("picture");

/**
 * Frames around faces, of which none is read yet.
 *
 * @param boxes x, y, width and height of each, pixels of the picture.
 * @param {boolean} mirrored Whether the picture is shown as in a mirror.
 * @param choose Is called with the number, from 0, of one that is clicked.
 */
export function showFaces(boxes, mirrored, choose) {
  const focused = [...sheet.children].indexOf(document.activeElement);
  sheet.replaceChildren(
    ...boxes.map((box, index) => {
      const frame = document.createElement("button");
      frame.type = "button";
      frame.className = "face";
      frame.setAttribute("aria-label", `Face ${index + 1}: not read yet`);
      place(frame, box, mirrored);
      frame.addEventListener("click", () => choose(index));
      return frame;
    }),
  );
  sheet.children[focused]?.focus();
  const { length } = boxes;
  const text = ["no face found", "one face found"][length];
  const told = `The picture: ${text ?? `${length} faces found`}`;
  canvas.setAttribute("aria-label", told);
}

/**
 * Write an answer to a face's frame.
 *
 * @param {number} index Of the face.
 * @param {string} label The answer.
 * @param {string} percent How sure it is, or "".
 */
export function labelFace(index, label, percent) {
  const frame = sheet.children[index];
  const tag = document.createElement("span");
  const share = document.createElement("small");
  share.textContent = percent && ` ${percent}`;
  tag.append(label, share);
  frame.replaceChildren(tag);
  frame.setAttribute("aria-label", `Face ${index + 1}: ${tag.textContent}`);
}

/** Tell which face the bars are of. */
export function markFace(index) {
  [...sheet.children].forEach((frame, place) => {
    frame.setAttribute("aria-pressed", String(place === index));
  });
}

function place(frame, [x, y, width, height], mirrored) {
  const left = mirrored ? canvas.width - x - width : x;
  const percent = (part, whole) => `${(100 * part) / whole}%`;
  Object.assign(frame.style, {
    left: percent(left, canvas.width),
    top: percent(y, canvas.height),
    width: percent(width, canvas.width),
    height: percent(height, canvas.height),
  });
  // Where a label above, to the right, would leave the picture.
  frame.classList.toggle("high", y < 0.12 * canvas.height);
  frame.classList.toggle("right", left + width / 2 > 0.7 * canvas.width);
}
