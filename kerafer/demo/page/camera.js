// A camera whose frames are looked at one after the other.

const REST_MILLISECONDS = 150;

const REASONS = {
  NotAllowedError:
    "This page may not use the camera. Allow it beside the page's address, " +
    "or choose a picture.",
  NotFoundError: "No camera was found. Connect one, or choose a picture.",
  NotReadableError:
    "Another program uses the camera. End that, or choose a picture.",
};
const NO_CAMERA =
  "Browsers give the camera to pages from https: or this machine alone. " +
  "Choose a picture.";

export class Camera {
  #video;
  #stream = null;

  constructor(video) {
    this.#video = video;
  }

  get running() {
    return this.#stream !== null;
  }

  async start() {
    const wish = { width: { ideal: 640 }, height: { ideal: 480 } };
    const devices = navigator.mediaDevices;
    if (!devices) {
      throw new Error(NO_CAMERA);
    }
    try {
      this.#stream = await devices.getUserMedia({ video: wish });
    } catch (error) {
      throw new Error(
        REASONS[error.name] ??
          `The camera does not start (${error.message}). Choose a picture.`,
      );
    }
    this.#video.srcObject = this.#stream;
    await this.#video.play();
  }

  stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.#video.srcObject = null;
  }

  /** Call `look` with the video again and again until the camera stops. */
  async watch(look) {
    const stream = this.#stream;
    while (stream && this.#stream === stream) {
      if (!document.hidden) {
        await look(this.#video);
      }
      await new Promise((done) => setTimeout(done, REST_MILLISECONDS));
    }
  }
}
