// .tflite files, run in this browser by LiteRT.js.

let started;

/**
 * Load a .tflite file, and the runtime before the first one.
 *
 * @param {string} path Of the file, from the page.
 * @returns What gives the file's outputs, typed arrays, for an input of its
 *   kind, and the kind: "uint8" or "float32".
 */
export async function loadModel(path) {
  const { loadLiteRt, loadAndCompile, Tensor } = await import(
    "./litert/index.js"
  );
  started ??= loadLiteRt(new URL("litert/", import.meta.url).href);
  await started;
  const model = await loadAndCompile(path, { accelerator: "wasm" });
  const [{ dtype, shape }] = model.getInputDetails();

  async function run(values) {
    const given = new Tensor(values, Array.from(shape));
    try {
      const answers = await model.run(given);
      const found = [];
      for (const answer of answers) {
        found.push(await answer.data());
        answer.delete();
      }
      return found;
    } finally {
      given.delete();
    }
  }

  return { dtype, run };
}
