"""The demo's page in a real browser.

`make test-clients` runs it where Chromium and its driver are installed
(Debian: chromium, chromium-driver), after

    pip install "selenium>=4.20,<5"
    kerafer demo --install
"""

import base64
import contextlib
import json
import os
import shutil
import threading
import time
import warnings

import cv2
import numpy as np
import pytest
import tiny_models
from PIL import Image

import kerafer
from kerafer.data.images import read_image
from kerafer.data.synthetic.dataset import draw_picture
from kerafer.demo import DemoServer, find_litert_js
from kerafer.runtime import EmotionRecognizer, shipped_model

pytestmark = [
    pytest.mark.clients,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
webdriver = pytest.importorskip("selenium.webdriver")

LABELS = [f"class{index}" for index in range(7)]
# Chromium looks for Google's hosts at every start; these hold it back.
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic"),
    *("--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
]
SECONDS = 40


def drawn(path, size=(320, 400), close_up=1.0):
    return draw_picture(path, 1, size, close_up)


def sensitive_model(channels=3, quantized=False, batch=1):
    """A .tflite file whose answers depend on every pixel it gets."""
    import tensorflow as tf

    shape = (24, 20, channels)
    generator = np.random.default_rng(0)
    weights = generator.normal(0, 0.15, (np.prod(shape), 7))
    weights = tf.constant(weights, tf.float32)

    def serve(image):
        flat = tf.reshape(tf.cast(image, tf.float32) / 255, (-1, len(weights)))
        return tf.nn.softmax(flat @ weights)

    kind = tf.float32 if quantized else tf.uint8
    concrete = tf.function(serve).get_concrete_function(
        tf.TensorSpec((batch, *shape), kind)
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    if quantized:
        pictures = generator.uniform(0, 255, (40, 1, *shape))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [picture.astype(np.float32)] for picture in pictures
        )
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8
    with warnings.catch_warnings():
        # The converter warns of its own defaults.
        warnings.simplefilter("ignore")
        return tiny_models.with_labels(converter.convert(), LABELS)


KINDS = {
    "colour": {},
    "gray": {"channels": 1},
    "quantized": {"quantized": True},
    "any_batch": {"batch": None},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models, pictures and the camera's film."""
    folder = tmp_path_factory.mktemp("demo")
    for name, arguments in KINDS.items():
        (folder / f"{name}.tflite").write_bytes(sensitive_model(**arguments))
    left, right = drawn("AF03/AF03HAS.JPG"), drawn("AM07/AM07ANS.JPG")
    smile = drawn("AF02/AF02HAS.JPG")
    pictures = {
        "one.png": smile,
        "one.jpg": smile,
        "two.png": np.concatenate([left, right], axis=1),
        "large.jpg": drawn("BF05/BF05SUS.JPG", (900, 1100)),
        "blank.png": np.full((120, 200, 3), 200, np.uint8),
    }
    for name, picture in pictures.items():
        Image.fromarray(picture).save(folder / name)
    # Lying on its side, with EXIF's word that it is to be turned.
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(np.rot90(smile))
    turned.save(folder / "turned.jpg", exif=exif)
    # Its upper half fades out, over what lies below.
    alpha = np.full(smile.shape[:2], 255, np.uint8)
    alpha[:60] = 0
    Image.fromarray(np.dstack([smile, alpha])).save(folder / "clear.png")
    (folder / "broken.png").write_bytes(b"no picture")
    film(folder / "film.y4m")
    return folder


def film(file):
    """A second of a smile, a second of surprise."""
    with open(file, "wb") as stream:
        stream.write(b"YUV4MPEG2 W640 H480 F10:1 Ip A1:1 C420jpeg\n")
        for expression in ("HA", "SU"):
            path = f"AF02/AF02{expression}S.JPG"
            frame = drawn(path, (640, 480))
            planes = cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420)
            stream.write((b"FRAME\n" + planes.tobytes()) * 10)


@pytest.fixture(scope="module")
def browser(folder):
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("Chromium or its driver is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    data = folder / "profile"
    for flag in (
        *FLAGS,
        f"--user-data-dir={data}",
        f"--use-file-for-fake-video-capture={folder / 'film.y4m'}",
    ):
        options.add_argument(flag)
    chrome = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(driver)
    )
    yield chrome
    chrome.quit()


class Page:
    """The demo's page in the browser."""

    def __init__(self, browser, address):
        self.browser = browser
        browser.get_log("browser")
        browser.get(address)
        self.wait("ready")

    def find(self, name):
        return self.browser.find_element("id", name)

    def data(self, name):
        return self.find("result").get_attribute(f"data-{name}")

    def wait(self, *states):
        deadline = time.monotonic() + SECONDS
        while self.data("state") not in states:
            assert time.monotonic() < deadline, (
                self.data("state"),
                self.browser.get_log("browser"),
            )
            time.sleep(0.05)
        return self.data("state")

    def give(self, file):
        """Choose a file, wait for the answer, and tell how it ended."""
        self.browser.execute_script(
            "document.getElementById('result').dataset.state = 'waiting'"
        )
        self.find("file").send_keys(str(file))
        return self.wait("shown", "faceless", "failed")

    def answer(self):
        return self.find("answer").text

    def probabilities(self):
        return json.loads(self.data("probabilities"))

    def picture(self):
        """The pixels that the page read, from its canvas."""
        address = self.browser.execute_script(
            "return document.getElementById('picture').toDataURL()"
        )
        return read_image(base64.b64decode(address.partition(",")[2]))

    def check(self, recognizer, picture):
        """Box and bars against what Python says of a picture."""
        (expected, *others) = recognizer.predict_faces(picture)
        assert json.loads(self.data("box")) == list(expected.box)
        wanted = list(expected.probabilities.values())
        np.testing.assert_allclose(self.probabilities(), wanted, atol=1e-3)
        percent = f"{max(wanted):.0%}"
        assert self.answer() == f"{expected.label}, {percent}"
        rows = self.browser.find_elements("css selector", "#bars li")
        shown = [row.text.split() for row in rows]
        assert [name for name, _ in shown] == list(expected.probabilities)
        shares = [int(share.rstrip("%")) / 100 for _, share in shown]
        np.testing.assert_allclose(shares, wanted, atol=0.0051)
        boxes = self.browser.find_elements("css selector", "#boxes .read")
        assert len(boxes) == 1
        boxes = self.browser.find_elements("css selector", "#boxes .other")
        assert len(boxes) == len(others)


@contextlib.contextmanager
def opened(browser, model, litert):
    """The page of a model, with LiteRT.js or without."""
    with pytest.MonkeyPatch.context() as patch:
        if not litert:
            nowhere = str(model.parent / "nowhere")
            patch.setenv("XDG_CACHE_HOME", nowhere)
        elif not find_litert_js():
            pytest.skip("LiteRT.js is not installed: kerafer demo --install")
        server = DemoServer(model, port=0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Page(browser, server.address)
    finally:
        browser.get("about:blank")
        server.shutdown()
        thread.join()
        server.server_close()


PICTURES = ("one.png", "one.jpg", "two.png", "large.jpg")


@pytest.mark.parametrize("kind", ["colour", "gray", "quantized"])
@pytest.mark.parametrize("litert", [True, False], ids=["litert", "python"])
def test_the_page_says_what_python_says(browser, folder, kind, litert):
    model = folder / f"{kind}.tflite"
    recognizer = EmotionRecognizer(model)
    answers = set()
    with opened(browser, model, litert) as page:
        for name in PICTURES:
            assert page.give(folder / name) == "shown"
            page.check(recognizer, read_image(folder / name))
            assert page.data("engine") == ("litert" if litert else "python")
            answers.add(page.data("probabilities"))
    # A PNG and its JPEG may come to the same in 8 bits.
    assert len(answers) >= 3
    # None of them is so sure of itself that the rest is lost in it.
    assert all(max(json.loads(answer)) < 0.995 for answer in answers)


@pytest.mark.parametrize("name", ["float16", "int8", "integer"])
def test_the_shipped_model_says_what_it_says_in_python(browser, folder, name):
    model = shipped_model() / f"{name}.tflite"
    recognizer = EmotionRecognizer(model)
    with opened(browser, model, True) as page:
        for picture in PICTURES:
            assert page.give(folder / picture) == "shown"
            assert page.data("engine") == "litert"
            page.check(recognizer, read_image(folder / picture))


def test_without_a_model_the_page_says_what_predict_says(browser, folder):
    with opened(browser, shipped_model(), True) as page:
        assert page.give(folder / "one.png") == "shown"
        (face,) = kerafer.predict(folder / "one.png")
        assert page.answer().startswith(face.label)
        np.testing.assert_allclose(
            page.probabilities(), list(face.probabilities.values()), atol=1e-3
        )
        page.find("camera").click()
        page.wait("shown")
        page.find("camera").click()
        page.wait("shown")
        page.check(EmotionRecognizer(shipped_model()), page.picture())


def test_the_page_turns_and_fills_pictures_as_python_does(browser, folder):
    model = folder / "colour.tflite"
    recognizer = EmotionRecognizer(model)
    with opened(browser, model, True) as page:
        for name in ("turned.jpg", "clear.png"):
            assert page.give(folder / name) == "shown"
            picture = read_image(folder / name)
            assert picture.shape == (400, 320, 3)
            page.check(recognizer, picture)
            np.testing.assert_array_equal(page.picture(), picture)


@pytest.mark.parametrize("litert", [True, False], ids=["litert", "python"])
def test_the_camera_is_read_frame_by_frame(browser, folder, litert):
    model = folder / "colour.tflite"
    recognizer = EmotionRecognizer(model)
    seen = {}
    with opened(browser, model, litert) as page:
        for _ in range(4):
            page.find("camera").click()
            page.wait("shown")
            time.sleep(0.7)
            page.find("camera").click()
            # A frame under way is read to its end; it is what stays.
            page.wait("shown")
            frame = page.picture()
            assert frame.shape == (480, 640, 3)
            page.check(recognizer, frame)
            seen[page.data("probabilities")] = frame
        video = page.find("video")
        assert not video.is_displayed()
        assert page.browser.execute_script(
            "return document.getElementById('video').srcObject === null"
        )
    frames = [drawn(f"AF02/AF02{e}S.JPG", (640, 480)) for e in ("HA", "SU")]
    for frame in seen.values():
        # It is the film, but for what video does to colours.
        distances = [np.abs(frame.astype(int) - f).mean() for f in frames]
        assert min(distances) < 8


def test_a_model_that_browsers_refuse_is_run_by_python(browser, folder):
    model = folder / "any_batch.tflite"
    with opened(browser, model, True) as page:
        engine = page.find("engine").text
        assert engine.startswith("Python on this machine runs the model")
        assert "LiteRT.js can't run this model" in engine
        assert page.give(folder / "one.png") == "shown"
        page.check(EmotionRecognizer(model), read_image(folder / "one.png"))
        assert page.data("engine") == "python"


def test_the_page_says_who_runs_the_model(browser, folder):
    model = folder / "colour.tflite"
    with opened(browser, model, True) as page:
        assert page.find("engine").text == (
            "LiteRT.js in this browser runs the model."
        )
    with opened(browser, model, False) as page:
        assert "kerafer demo --install" in page.find("engine").text


def test_a_picture_without_a_face_may_be_taken_whole(browser, folder):
    model = folder / "colour.tflite"
    recognizer = EmotionRecognizer(model)
    with opened(browser, model, True) as page:
        assert page.give(folder / "blank.png") == "faceless"
        assert page.answer() == "No face was found."
        assert page.data("probabilities") is None
        page.find("whole").click()
        page.wait("shown")
        picture = read_image(folder / "blank.png")
        wanted = list(recognizer.predict(picture).probabilities.values())
        np.testing.assert_allclose(page.probabilities(), wanted, atol=1e-3)
        assert not page.find("whole").is_displayed()


def test_what_is_no_picture_is_told(browser, folder):
    with opened(browser, folder / "colour.tflite", True) as page:
        assert page.give(folder / "one.png") == "shown"
        assert page.give(folder / "broken.png") == "failed"
        assert "can't read that file" in page.answer()
        assert page.data("probabilities") is None
        assert not page.find("picture").is_displayed()
        large = folder / "too_large.png"
        with open(large, "wb") as stream:
            os.truncate(stream.fileno(), 32_000_001)
        assert page.give(large) == "failed"
        assert page.answer() == "A picture has at most 32 MB."


def test_pictures_are_dropped_pasted_and_drawn(browser, folder):
    recognizer = EmotionRecognizer(folder / "colour.tflite")
    with opened(browser, folder / "colour.tflite", True) as page:
        for index in range(2):
            page.browser.execute_script(
                "document.getElementById('result').dataset.state = 'waiting'"
            )
            page.find("drawn").click()
            assert page.wait("shown", "failed") == "shown"
            page.check(recognizer, page.picture())
            expected = ("happy", "surprised")[index]
            assert page.find("caption").text.endswith(expected)
        encoded = base64.b64encode((folder / "one.png").read_bytes()).decode()
        for event, holder in (
            ("drop", "dataTransfer"),
            ("paste", "clipboardData"),
        ):
            page.browser.execute_script(HAND_OVER, encoded, event, holder)
            assert page.wait("shown", "failed") == "shown"
            page.check(recognizer, read_image(folder / "one.png"))
            assert page.find("caption").text == f"{event}.png"


HAND_OVER = """
const [encoded, kind, holder] = arguments;
const bytes = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
const given = new DataTransfer();
given.items.add(new File([bytes], `${kind}.png`, { type: "image/png" }));
document.getElementById("result").dataset.state = "waiting";
const event = new Event(kind, { bubbles: true, cancelable: true });
Object.defineProperty(event, holder, { value: given });
document.body.dispatchEvent(event);
"""


def test_the_page_asks_its_server_alone_and_breaks_no_rule(browser, folder):
    with opened(browser, folder / "colour.tflite", True) as page:
        page.give(folder / "one.png")
        asked = page.browser.execute_script(
            "return performance.getEntriesByType('resource')"
            ".map((entry) => entry.name)"
        )
        here = page.browser.current_url
        assert any(address.endswith(".wasm") for address in asked)
        assert [a for a in asked if not a.startswith(here)] == []
        log = page.browser.get_log("browser")
        told = [entry["message"] for entry in log]
        assert not [t for t in told if "Content Security Policy" in t]
        assert not [t for t in told if "Failed to load" in t]
        # The rule is in force: what another host has is not even asked for.
        blocked = page.browser.execute_async_script(
            "const done = arguments[0];"
            "addEventListener('securitypolicyviolation',"
            "  (event) => done(event.blockedURI));"
            "fetch('http://localhost:9/').catch(() => {});"
        )
        assert blocked == "http://localhost:9/"


def test_the_page_fits_a_phone_and_works_by_keyboard(browser, folder):
    from selenium.webdriver.common.keys import Keys

    phone = {"width": 360, "height": 740, "deviceScaleFactor": 2}
    command = "Emulation.setDeviceMetricsOverride"
    browser.execute_cdp_cmd(command, phone | {"mobile": True})
    try:
        with opened(browser, folder / "colour.tflite", True) as page:
            for _ in range(3):
                active = page.browser.switch_to.active_element
                active.send_keys(Keys.TAB)
            active = page.browser.switch_to.active_element
            assert active.get_attribute("id") == "drawn"
            active.send_keys(Keys.ENTER)
            page.wait("shown")
            wide = "return document.documentElement.scrollWidth"
            assert page.browser.execute_script(wide) <= 360
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_images_of_the_page_are_named_for_those_who_hear_it(browser, folder):
    with opened(browser, folder / "colour.tflite", True) as page:
        page.give(folder / "two.png")
        name = page.find("picture").get_attribute("aria-label")
        assert name == "The picture: 2 faces found; the largest is read"
        assert page.find("answer").get_attribute("aria-live") == "polite"
