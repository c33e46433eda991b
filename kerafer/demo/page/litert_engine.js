// The model of expressions, run in this browser.

import { loadModel } from "./litert.js";
import { gray } from "./pixels.js";

/** Load the runtime and the model; fails where either can't be. */
export async function openLiteRt({ input, range, output }) {
  const model = await loadModel("model.tflite");
  const [height, width, channels] = input;
  const { mean, std } = range;

  /** Pixels as a model of floats takes them. */
  function inRange(values) {
    return Float32Array.from(
      values,
      (value, at) => (value - mean[at % mean.length]) / std[at % std.length],
    );
  }

  /** The probabilities of a picture of the model's size. */
  async function run(picture) {
    const values = channels === 1 ? gray(picture) : picture.pixels;
    const isBytes = model.dtype === "uint8";
    const given = isBytes ? values : inRange(values);
    const found = Array.from((await model.run(given))[0]);
    return output.scale
      ? found.map((value) => (value - output.zero) * output.scale)
      : found;
  }

  // Some files load and then can't be run; here the page can still turn.
  const pixels = new Uint8Array(height * width * 3);
  await run({ width, height, pixels });
  return { name: "litert", by: "LiteRT.js", run };
}
