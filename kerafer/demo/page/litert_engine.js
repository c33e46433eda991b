// The model, run in this browser by LiteRT.js.

import { gray } from "./pixels.js";

/** Load the runtime and the model; fails where either can't be. */
export async function openLiteRt({ input, output }) {
  const { loadLiteRt, loadAndCompile, Tensor } = await import(
    "/litert/index.js"
  );
  await loadLiteRt("/litert/");
  const options = { accelerator: "wasm" };
  const model = await loadAndCompile("/model.tflite", options);
  const [{ dtype }] = model.getInputDetails();
  const [height, width, channels] = input;

  /** The probabilities of a picture of the model's size. */
  async function run(picture) {
    const values = channels === 1 ? gray(picture) : picture.pixels;
    const typed = dtype === "uint8" ? values : Float32Array.from(values);
    const given = new Tensor(typed, [1, height, width, channels]);
    try {
      const [answer] = await model.run(given);
      const found = Array.from(await answer.data());
      answer.delete();
      return output.scale
        ? found.map((value) => (value - output.zero) * output.scale)
        : found;
    } finally {
      given.delete();
    }
  }

  // Some files load and then can't be run; here the page can still turn.
  const pixels = new Uint8Array(height * width * 3);
  await run({ width, height, pixels });
  return { name: "litert", run };
}
