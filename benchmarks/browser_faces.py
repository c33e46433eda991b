"""What BlazeFace in a browser finds, beside what Python's detector finds.

    pip install "selenium>=4.20,<5"     # and Debian's chromium, chromium-driver
    kerafer demo --install
    python benchmarks/browser_faces.py --images faces.zip \
        --out docs/results/browser_faces.csv

Opens the page of `kerafer demo --write` and gives it images of one face
each: drawn ones near and further away, and labelled portraits, a folder a
class. Of the face that the page reads a row tells where it is beside Python's,
and what either makes the model that comes along say.
"""

import argparse
import base64
import functools
import http.server
import io
import json
import shutil
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from selenium import webdriver

from kerafer.datasets.kdef import CLASSES
from kerafer.datasets.synthetic.dataset import draw_image
from kerafer.demo import write_page
from kerafer.files import write_text
from kerafer.runtime import EmotionRecognizer, shipped_model
from kerafer.versions import processor

_WORDS = {"surprised": "surprise", "fearful": "fear", "disgusted": "disgust"}
_SECONDS = 40
# Hands an image over as if it had been dropped, without a file.
_DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), (x) => x.charCodeAt(0));
const given = new DataTransfer();
given.items.add(new File([bytes], "x.png", { type: "image/png" }));
document.getElementById("result").dataset.state = "waiting";
const event = new Event("drop", { bubbles: true, cancelable: true });
Object.defineProperty(event, "dataTransfer", { value: given });
document.body.dispatchEvent(event);
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--out", required=True)
    parsed = parser.parse_args()
    sets = {
        "drawn, near": drawn(1.0),
        "drawn, further away": drawn(0.6),
        "drawn, a twentieth of the picture": small(drawn(1.0)),
        "portraits": portraits(parsed.images, parsed.count),
    }
    recognizer = EmotionRecognizer()
    with tempfile.TemporaryDirectory() as folder:
        page = Page(write_page(shipped_model(), folder))
        rows = [
            {"pictures": name} | compare(page, recognizer, pictures)
            for name, pictures in sets.items()
        ]
        version = page.browser.capabilities["browserVersion"]
        page.browser.quit()
    table = pd.DataFrame(rows)
    table["browser"] = f"Chromium {version}"
    table["processor"] = processor()
    write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))
    print(table.to_string(index=False))


Pictures = Iterator[tuple[np.ndarray, str]]


def drawn(close_up: float) -> Pictures:
    for sex in "FM":
        for person in range(1, 36):
            for code in list(CLASSES)[person % 3 :: 3]:
                path = f"A{sex}{person:02}/A{sex}{person:02}{code}S.JPG"
                picture = draw_image(path, 1, (320, 400), close_up)
                name = CLASSES[code]
                yield picture, _WORDS.get(name, name)


def small(pictures: Pictures) -> Pictures:
    """Images whose faces are 70 of 1,400 pixels high, anywhere on gray."""
    generator = np.random.default_rng(0)
    for picture, label in pictures:
        portrait = Image.fromarray(picture).resize((104, 130))
        whole = Image.new("RGB", (1400, 1000), (127, 127, 127))
        whole.paste(portrait, tuple(generator.integers(0, 870, 2).tolist()))
        yield np.asarray(whole), label


def portraits(archive: Path, count: int) -> Pictures:
    with zipfile.ZipFile(archive) as opened:
        names = [n for n in opened.namelist() if n.lower().endswith(".jpg")]
        chosen = np.random.default_rng(0).permutation(sorted(names))[:count]
        for name in chosen.tolist():
            picture = Image.open(io.BytesIO(opened.read(name))).convert("RGB")
            yield np.asarray(picture), name.split("/")[-2]


class Page:
    """The page of a folder in Chromium."""

    def __init__(self, folder: Path) -> None:
        handler = functools.partial(Quiet, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu"):
            options.add_argument(flag)
        driver = webdriver.ChromeService(shutil.which("chromedriver"))
        self.browser = webdriver.Chrome(options=options, service=driver)
        self.browser.get(f"http://127.0.0.1:{server.server_address[1]}/")
        self._wait("ready")

    def read(self, picture: np.ndarray) -> tuple[list[int], str, int] | None:
        """Box and label of the first face, and how many there are."""
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "PNG")
        encoded = base64.b64encode(stream.getvalue()).decode()
        self.browser.execute_script(_DROP, encoded)
        if self._wait("shown", "faceless") == "faceless":
            return None
        result = self.browser.find_element("id", "result")
        rows = self.browser.find_elements("css selector", "#bars li.top .name")
        faces = self.browser.find_elements("css selector", "#faces .face")
        box = json.loads(result.get_attribute("data-box"))
        return box, rows[0].text, len(faces)

    def _wait(self, *states: str) -> str:
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until:
            result = self.browser.find_element("id", "result")
            state = result.get_attribute("data-state")
            if state in states:
                return state
            time.sleep(0.02)
        raise TimeoutError(f"The page is in no state of {states}: {state}.")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def compare(
    page: Page, recognizer: EmotionRecognizer, pictures: Pictures
) -> dict[str, object]:
    """The numbers of a row."""
    both, counts = [], []
    for picture, label in pictures:
        faces, found = recognizer.predict_faces(picture), page.read(picture)
        counts.append((len(faces), found[2] if found else 0))
        if faces and found:
            (box, said, _), face = found, faces[0]
            side = max(face.box[2:])
            away = np.hypot(*(centre(box) - centre(face.box))) / side
            size = max(box[2:]) / side
            right = said == label, face.label == label
            both.append((away, size, said == face.label, *right))
    away, size, same, browser, python = np.array(both, float).T
    return {
        "n": len(counts),
        "none found by Python": sum(a == 0 for a, _ in counts),
        "none found by the browser": sum(b == 0 for _, b in counts),
        "more than one by Python": sum(a > 1 for a, _ in counts),
        "more than one by the browser": sum(b > 1 for _, b in counts),
        "compared": len(both),
        "centres apart, median, % of the side": percent(np.median(away)),
        "centres apart, 95th percentile": percent(np.quantile(away, 0.95)),
        "side, median, % of Python's": percent(np.median(size)),
        "same class %": percent(same.mean()),
        "right by the browser's box %": percent(browser.mean()),
        "right by Python's box %": percent(python.mean()),
    }


def centre(box: list[int]) -> np.ndarray:
    x, y, width, height = box
    return np.array([x + width / 2, y + height / 2])


def percent(share: float) -> float:
    return round(100 * float(share), 1)


if __name__ == "__main__":
    main()
