"""The demo's page in a real browser.

`make test-clients` runs it where Chromium and its driver are installed
(Debian: chromium, chromium-driver), after

    pip install "selenium>=4.20,<5"
    kerafer demo --install
    npm install --prefix build/axe axe-core@4.14.1
"""

import base64
import contextlib
import functools
import http.server
import json
import os
import shutil
import tempfile
import threading
import time
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_models
from PIL import Image

import kerafer
from kerafer.datasets.synthetic.dataset import draw_image
from kerafer.demo import DemoServer, find_litert_js, write_page
from kerafer.demo.examples import draw_examples
from kerafer.images import read_image
from kerafer.model_files import included_model
from kerafer.runtime import Recognizer
from kerafer.runtime.results import percent as whole_percent

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


def drawn(path, size=(320, 400)):
    return draw_image(path, 1, size)


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
        self.wait("ready", "failed")

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

    def forget(self):
        """Forget the state, to wait for the next one."""
        self.browser.execute_script(
            "document.getElementById('result').dataset.state = 'waiting'"
        )

    def give(self, file):
        """Choose a file, wait for the answer, and tell how it ended."""
        self.forget()
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

    def faces(self):
        """The frames around faces, in order."""
        return self.browser.find_elements("css selector", "#faces .face")

    def check_requests(self):
        """Everything came from the page's server, and no rule was broken."""
        asked = self.browser.execute_script(
            "return performance.getEntriesByType('resource')"
            ".map((entry) => entry.name)"
        )
        here = self.browser.current_url
        assert any(address.endswith(".wasm") for address in asked)
        assert [a for a in asked if not a.startswith(here)] == []
        log = [entry["message"] for entry in self.browser.get_log("browser")]
        assert not [t for t in log if "Content Security Policy" in t]
        assert not [t for t in log if "Failed to load" in t]

    def check(self, recognizer, picture):
        """Boxes, labels and bars against what Python says of a picture."""
        expected = recognizer.predict(picture)
        frames = self.faces()
        assert len(frames) == len(expected)
        for index, (frame, face) in enumerate(
            zip(frames, expected, strict=True)
        ):
            name = frame.get_attribute("aria-label")
            told = f"{face.label} {percent(face)}" if sure(face) else "unsure"
            assert name == f"Face {index + 1}: {told}"
            pressed = frame.get_attribute("aria-pressed")
            assert pressed == str(index == 0).lower()
        self.check_chosen(expected, 0)

    def check_chosen(self, expected, index):
        """Answer and bars against what Python says of one of the faces."""
        face = expected[index]
        assert json.loads(self.data("box")) == list(face.box)
        wanted = list(face.probabilities.values())
        np.testing.assert_allclose(self.probabilities(), wanted, atol=1e-3)
        answer = f"{face.label}, {percent(face)}"
        unsure = "" if sure(face) else "Unsure: "
        assert self.answer() == unsure + answer
        assert bool(self.find("note").text) == bool(unsure)
        several = len(expected) > 1
        which = f"Face {index + 1} of {len(expected)}" if several else ""
        assert self.find("which").text == which
        rows = self.browser.find_elements("css selector", "#bars li")
        shown = [row.text.split() for row in rows]
        assert [name for name, _ in shown] == list(face.probabilities)
        shares = [share.rstrip("%").replace(">99", "100") for _, share in shown]
        shares = [int(share) / 100 for share in shares]
        np.testing.assert_allclose(shares, wanted, atol=0.0051)


def percent(face):
    return f"{whole_percent(max(face.probabilities.values()))}%"


def sure(face):
    return max(face.probabilities.values()) >= 0.5


@contextlib.contextmanager
def opened(browser, model, litert):
    """The page of a model, with LiteRT.js or without."""
    with pytest.MonkeyPatch.context() as patch:
        if not litert:
            nowhere = str(Path(model).parent / "nowhere")
            patch.setenv("XDG_CACHE_HOME", nowhere)
        elif not find_litert_js():
            pytest.skip("LiteRT.js is not installed: kerafer demo --install")
        server = DemoServer(model, port=0)
    with running(server):
        yield Page(browser, server.address)
        browser.get("about:blank")


@contextlib.contextmanager
def running(server):
    """A server in a thread, ended at the latest with the block."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


PICTURES = ("one.png", "one.jpg", "two.png", "large.jpg")


@pytest.mark.parametrize("kind", ["colour", "gray", "quantized"])
@pytest.mark.parametrize("litert", [True, False], ids=["litert", "python"])
def test_the_page_says_what_python_says(browser, folder, kind, litert):
    model = folder / f"{kind}.tflite"
    recognizer = Recognizer(model)
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


def test_the_page_turns_and_fills_pictures_as_python_does(browser, folder):
    model = folder / "colour.tflite"
    recognizer = Recognizer(model)
    with opened(browser, model, True) as page:
        for name in ("turned.jpg", "clear.png"):
            assert page.give(folder / name) == "shown"
            picture = read_image(folder / name)
            assert picture.shape == (400, 320, 3)
            page.check(recognizer, picture)
            np.testing.assert_array_equal(page.picture(), picture)


def test_a_model_that_browsers_refuse_is_run_by_python(browser, folder):
    model = folder / "any_batch.tflite"
    with opened(browser, model, True) as page:
        engine = page.find("engine").text
        assert engine.startswith("Python on this machine runs the model: ")
        assert "LiteRT.js can't run this model" in engine
        assert page.give(folder / "one.png") == "shown"
        page.check(Recognizer(model), read_image(folder / "one.png"))
        assert page.data("engine") == "python"


def test_a_picture_without_a_face_may_be_taken_whole(browser, folder):
    model = folder / "colour.tflite"
    recognizer = Recognizer(model)
    with opened(browser, model, True) as page:
        assert page.give(folder / "blank.png") == "faceless"
        assert page.answer() == "No face was found."
        assert page.data("probabilities") is None
        page.find("whole").click()
        page.wait("shown")
        picture = read_image(folder / "blank.png")
        (whole,) = recognizer.predict_crops([picture])
        wanted = list(whole.probabilities.values())
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
        assert page.answer() == (
            "A picture has at most 32 MB. Choose a smaller file."
        )


def test_a_page_that_was_opened_as_a_file_says_so(browser):
    index = Path(kerafer.__file__).parent / "demo" / "page" / "index.html"
    browser.get(index.as_uri())
    answer = browser.find_element("id", "answer").text
    assert "python -m http.server" in answer


def test_a_click_chooses_a_face(browser, folder):
    recognizer = Recognizer(folder / "colour.tflite")
    expected = recognizer.predict(folder / "two.png")
    assert len(expected) == 2
    with opened(browser, folder / "colour.tflite", True) as page:
        page.give(folder / "two.png")
        for index in (1, 0, 1):
            page.faces()[index].click()
            page.check_chosen(expected, index)
            pressed = [f.get_attribute("aria-pressed") for f in page.faces()]
            assert pressed.index("true") == index
            assert pressed.count("true") == 1
        # The next picture begins with its largest again.
        page.give(folder / "two.png")
        page.check_chosen(expected, 0)


def test_the_included_model_names_the_examples_without_python(browser):
    words = {"surprised": "surprise"}
    with opened_static(browser, included_model() / "int8.tflite") as page:
        for caption in draw_examples():
            page.forget()
            page.find("example").click()
            assert page.wait("shown", "failed", "faceless") == "shown"
            assert page.find("caption").text == caption
            meant = caption.split()[-1]
            assert page.answer().startswith(f"{words.get(meant, meant)}, ")


@contextlib.contextmanager
def opened_static(browser, model, litert=True):
    """The page as a folder below a path of a plain web server."""
    if not find_litert_js():
        pytest.skip("LiteRT.js is not installed: kerafer demo --install")
    with tempfile.TemporaryDirectory() as root:
        write_page(model, Path(root, "faces/of/people"))
        handler = functools.partial(Quiet, directory=root)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        with running(server):
            port = server.server_address[1]
            yield Page(browser, f"http://127.0.0.1:{port}/faces/of/people/")
            browser.get("about:blank")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def test_without_python_the_same_crops_get_the_same_answers(browser, folder):
    """The browser's boxes are near those of Python's detector."""
    model = included_model() / "int8.tflite"
    recognizer = Recognizer(model)
    with opened_static(browser, model) as page:
        assert "kerafer predict" in page.find("engine").text
        for person in ("AF07", "AM02", "BF05"):
            for code, size in (("HA", (320, 400)), ("NE", (900, 1100))):
                image = drawn(f"{person}/{person}{code}S.JPG", size)
                Image.fromarray(image).save(folder / "drawn.png")
                assert page.give(folder / "drawn.png") == "shown"
                (face,) = recognizer.predict(image)
                box = json.loads(page.data("box"))
                side = max(face.box[2:])
                off = np.abs(np.subtract(box, face.box))
                assert off.max() < 0.2 * side, (person, code)
                (same,) = recognizer.crop_probabilities(image, [tuple(box)])
                np.testing.assert_allclose(
                    page.probabilities(), same, atol=1e-6
                )
        # Several on one, small ones too, the largest first.
        group = np.full((900, 1400, 3), 127, np.uint8)
        for index, (width, height) in enumerate(
            [(320, 400), (240, 300), (160, 200)]
        ):
            left, top = 80 + 420 * index, 100 + 150 * index
            face = drawn("AF02/AF02HAS.JPG", (width, height))
            group[top : top + height, left : left + width] = face
        Image.fromarray(group).save(folder / "group.png")
        assert page.give(folder / "group.png") == "shown"
        places = [face.rect["x"] for face in page.faces()]
        assert len(places) == 3 and places == sorted(places)
        assert page.give(folder / "blank.png") == "faceless"
        page.check_requests()
        page.find("camera").click()
        page.wait("shown")
        page.find("camera").click()
        page.wait("shown")
        assert len(page.faces()) == 1


@pytest.mark.parametrize("where", ["served", "static"])
def test_a_model_of_whole_pictures_gets_them_whole(browser, folder, where):
    export = folder / "whole"
    export.mkdir(exist_ok=True)
    shutil.copy(folder / "colour.tflite", export / "float32.tflite")
    manifest = {"input": {"face_margin": None}}
    (export / "manifest.json").write_text(json.dumps(manifest))
    recognizer = Recognizer(export)
    opening = opened if where == "served" else opened_static
    with opening(browser, export, True) as page:
        assert page.find("engine").text.endswith("It takes pictures whole.")
        for name in ("one.png", "large.jpg"):
            assert page.give(folder / name) == "shown"
            page.check(recognizer, read_image(folder / name))
        assert page.find("speed").text.startswith("The picture was read in")


AXE = Path("build/axe/node_modules/axe-core/axe.min.js")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_no_violation(browser, folder, scheme, width):
    if not AXE.is_file():
        pytest.skip("npm install --prefix build/axe axe-core@4.14.1")
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1}
    command = "Emulation.setDeviceMetricsOverride"
    browser.execute_cdp_cmd(command, screen | {"mobile": width < 500})
    try:
        with opened(browser, folder / "colour.tflite", True) as page:
            browser.execute_script(AXE.read_text(encoding="utf-8"))
            for name in ("two.png", "blank.png", "broken.png"):
                page.give(folder / name)
                time.sleep(0.4)
                assert violations(browser) == [], name
                wide = "return document.documentElement.scrollWidth"
                assert browser.execute_script(wide) <= width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        features = {"features": []}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", features)


def violations(browser):
    told = browser.execute_async_script(
        "const done = arguments[0];"
        "axe.run().then((told) => done(told), (error) => done(String(error)));"
    )
    return [
        (rule["id"], [node["html"] for node in rule["nodes"]])
        for rule in told["violations"]
    ]


def test_the_page_loads_from_its_server_only(browser, folder):
    with opened(browser, folder / "colour.tflite", True) as page:
        page.give(folder / "one.png")
        page.check_requests()
        # The policy is in force: a request to another host is blocked.
        blocked = page.browser.execute_async_script(
            "const done = arguments[0];"
            "addEventListener('securitypolicyviolation',"
            "  (event) => done(event.blockedURI));"
            "fetch('http://localhost:9/').catch(() => {});"
        )
        assert blocked == "http://localhost:9/"
