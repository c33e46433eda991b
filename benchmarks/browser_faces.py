"""Compare the static page's answers with the command line's.

    pip install "selenium>=4.20,<5"     # and Debian's chromium, chromium-driver
    kerafer demo --install
    python benchmarks/browser_faces.py --images faces.zip \
        --out docs/results/browser_faces.csv

Opens the page of `kerafer demo --write` in Chromium and gives it labelled
portraits, from a zip file with a folder per class. Python then reads every
image twice: with the box of its own detector, as `kerafer predict` does, and
with the page's box. The first comparison shows all that differs, the second
what differs for the same crop.
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

from kerafer.demo import write_page
from kerafer.files import write_text
from kerafer.images import read_image
from kerafer.model_files import included_model
from kerafer.runtime import Recognizer
from kerafer.versions import processor

_SECONDS = 40
# Hands a file over as if it had been dropped.
_DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), (x) => x.charCodeAt(0));
const given = new DataTransfer();
given.items.add(new File([bytes], "x", { type: arguments[1] }));
document.getElementById("result").dataset.state = "waiting";
const event = new Event("drop", { bubbles: true, cancelable: true });
Object.defineProperty(event, "dataTransfer", { value: given });
document.body.dispatchEvent(event);
"""

# The bytes of a file, and the expression that it is meant to show.
Files = Iterator[tuple[bytes, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--out", required=True)
    parsed = parser.parse_args()
    model = included_model() / "int8.tflite"
    sets = {
        "portraits": portraits(parsed.images, parsed.count),
        "portraits, shrunk": small(portraits(parsed.images, parsed.count)),
    }
    recognizer = Recognizer(model)
    with tempfile.TemporaryDirectory() as folder:
        page = Page(write_page(model, folder))
        rows = [
            {"images": name} | compare(page, recognizer, files)
            for name, files in sets.items()
        ]
        version = page.browser.capabilities["browserVersion"]
        page.browser.quit()
    table = pd.DataFrame(rows)
    table["browser"] = f"Chromium {version}"
    table["processor"] = processor()
    write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))
    print(table.T.to_string())


def small(files: Files) -> Files:
    """Images of 1,400 x 1,000 pixels whose faces are about 70 pixels high."""
    generator = np.random.default_rng(0)
    for content, label in files:
        portrait = Image.open(io.BytesIO(content)).resize((130, 130))
        whole = Image.new("RGB", (1400, 1000), (127, 127, 127))
        whole.paste(portrait, tuple(generator.integers(0, 870, 2).tolist()))
        stream = io.BytesIO()
        whole.save(stream, "PNG")
        yield stream.getvalue(), label


def portraits(archive: Path, count: int) -> Files:
    with zipfile.ZipFile(archive) as opened:
        names = [n for n in opened.namelist() if n.lower().endswith(".jpg")]
        chosen = np.random.default_rng(0).permutation(sorted(names))[:count]
        for name in chosen.tolist():
            yield opened.read(name), name.split("/")[-2]


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

    def read(self, file: bytes) -> tuple[list[int], np.ndarray] | None:
        """Box and probabilities of the first face, `None` without one."""
        kind = "image/png" if file[1:4] == b"PNG" else "image/jpeg"
        encoded = base64.b64encode(file).decode()
        self.browser.execute_script(_DROP, encoded, kind)
        if self._wait("shown", "faceless") == "faceless":
            return None
        result = self.browser.find_element("id", "result")
        box, probabilities = (
            json.loads(result.get_attribute(f"data-{name}"))
            for name in ("box", "probabilities")
        )
        return box, np.array(probabilities)

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
    page: Page, recognizer: Recognizer, files: Files
) -> dict[str, object]:
    """The numbers of a row."""
    missed, rows = [], []
    for file, label in files:
        image = read_image(file)
        faces, found = recognizer.predict(image), page.read(file)
        missed.append((not faces, not found))
        if faces and found:
            box, there = found
            (same_crop,) = recognizer.crop_probabilities(image, [tuple(box)])
            here = np.array(list(faces[0].probabilities.values()))
            side = max(faces[0].box[2:])
            away = np.hypot(*(centre(box) - centre(faces[0].box))) / side
            labels = [
                recognizer.labels[each.argmax()]
                for each in (there, here, same_crop)
            ]
            rows.append(
                {
                    "away": away,
                    "size": max(box[2:]) / side,
                    "other": labels[0] != labels[1],
                    "both sure": min(there.max(), here.max()) >= 0.5,
                    "other, same crop": labels[0] != labels[2],
                    "apart, same crop": np.abs(there - same_crop).max(),
                    "page right": labels[0] == label,
                    "Python right": labels[1] == label,
                }
            )
    table = pd.DataFrame(rows)
    sure = table[table["both sure"]]
    return {
        "n": len(missed),
        "no face found by Python": sum(python for python, _ in missed),
        "no face found by the page": sum(browser for _, browser in missed),
        "centres apart, median, % of the side": percent(table["away"].median()),
        "centres apart, 95th percentile": percent(table["away"].quantile(0.95)),
        "side, median, % of Python's": percent(table["size"].median()),
        "other class %": percent(table["other"].mean()),
        "other class, both 50 % sure or more %": percent(sure["other"].mean()),
        "both 50 % sure or more %": percent(len(sure) / len(table)),
        "other class, same crop %": percent(table["other, same crop"].mean()),
        "largest difference of a probability, same crop": round(
            table["apart, same crop"].max(), 4
        ),
        "page right %": percent(table["page right"].mean()),
        "Python right %": percent(table["Python right"].mean()),
    }


def centre(box: list[int]) -> np.ndarray:
    x, y, width, height = box
    return np.array([x + width / 2, y + height / 2])


def percent(share: float) -> float:
    return round(100 * float(share), 1)


if __name__ == "__main__":
    main()
