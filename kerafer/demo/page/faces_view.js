// The faces on the picture: a frame around each, that tells its expression.

const sheet = document.getElementById("faces");
const canvas = document.getElementById("picture");

/**
 * Frames around faces.
 *
 * @param faces Of each the box, x, y, width and height, pixels of the picture;
 *   the label, and how sure it is, percent or "".
 * @param {boolean} mirrored Whether the picture is shown as in a mirror.
 * @param choose Is called with the number, from 0, of one that is clicked.
 */
export function showFaces(faces, mirrored, choose) {
  const focused = [...sheet.children].indexOf(document.activeElement);
  sheet.replaceChildren(
    ...faces.map(({ box, label, percent }, index) => {
      const frame = document.createElement("button");
      frame.type = "button";
      frame.className = "face";
      const tag = document.createElement("span");
      const share = document.createElement("small");
      share.textContent = percent && ` ${percent}`;
      tag.append(label, share);
      frame.append(tag);
      const told = `Face ${index + 1}: ${tag.textContent}`;
      frame.setAttribute("aria-label", told);
      place(frame, box, mirrored);
      frame.addEventListener("click", () => choose(index));
      return frame;
    }),
  );
  sheet.children[focused]?.focus();
  const { length } = faces;
  const text = ["no face found", "one face found"][length];
  const told = `The picture: ${text ?? `${length} faces found`}`;
  canvas.setAttribute("aria-label", told);
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
