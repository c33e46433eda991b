// A camera whose frames are looked at one after the other.

const REST_MILLISECONDS = 150;

const REASONS = {
  NotAllowedError: "The camera may not be used: the browser was told so.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by another program.",
};

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
    try {
      this.#stream = await devices.getUserMedia({ video: wish });
    } catch (error) {
      throw new Error(REASONS[error.name] ?? error.message);
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
