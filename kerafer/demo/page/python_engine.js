// What Python on this machine does: find faces, and run the model where the
// browser can't.

export const pythonFinder = {
  by: "Python",
  told: "Python finds the faces.",

  /** The boxes on a picture, largest first; asks for its file's bytes. */
  async find(image, getBytes) {
    return (await post("faces", await getBytes())).boxes;
  },
};

export const pythonEngine = {
  name: "python",
  by: "Python",

  /** The probabilities of a picture of the model's size. */
  async run({ pixels }) {
    return (await post("predict", pixels)).probabilities;
  },
};

async function post(path, body) {
  const type = "application/octet-stream";
  const request = { method: "POST", body, headers: { "Content-Type": type } };
  const answer = await fetch(path, request).catch(() => {
    throw new Error(
      "kerafer demo has ended. Start it again in its terminal, then try " +
        "once more.",
    );
  });
  const told = await answer.json();
  if (!answer.ok) {
    throw new Error(`${told.error} Choose another picture.`);
  }
  return told;
}
