"""From a photo to its answer, and through a video: kerafer beside `fer`.

    python -m venv build/fer
    build/fer/bin/pip install fer==22.5.1 'moviepy<2' tensorflow==2.21.*
    python benchmarks/end_to_end.py --fer build/fer/bin/python \
        --images faces.zip --out docs/results/end_to_end.csv

What somebody waits for, faces searched by each package itself: a new process
until it has printed the answer to a photo, further photos in a process that
runs, and frames of a video (50 frames of 640 x 480, a synthetic face that
moves). The packages have their turns one after the other, in processes of
their own; medians over the turns. `fer` finds faces with OpenCV's cascade, as
it does by default, and, called with `mtcnn=True`, with MTCNN.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from prediction import draw_video

from kerafer.files import write_text
from kerafer.versions import versions

OURS = """
import kerafer
recognizer = kerafer.Recognizer()
answer = lambda file: bool(recognizer.predict(file))
tracker = recognizer.track()
frame = lambda bgr: tracker.update(bgr, bgr=True)
"""
# FER takes images as OpenCV reads them.
FER = """
import cv2
from fer import FER
detector = FER(mtcnn={mtcnn})
answer = lambda file: bool(detector.detect_emotions(cv2.imread(file)))
frame = detector.detect_emotions
"""
LOOP = """
import json, sys, time
import cv2
photos, video = json.load(open(sys.argv[1]))
answer(photos[0])
began = time.perf_counter()
found = sum(answer(photo) for photo in photos)
seconds = (time.perf_counter() - began) / len(photos)
reader, frames, spent = cv2.VideoCapture(video), 0, 0.0
while True:
    more, image = reader.read()
    if not more:
        break
    began = time.perf_counter()
    frame(image)
    # The first loads what the others have.
    spent += (time.perf_counter() - began) if frames else 0.0
    frames += 1
print("RESULT", json.dumps([found, seconds, (frames - 1) / spent]))
"""
FIRST = """
import json, sys
photos, _ = json.load(open(sys.argv[1]))
print("RESULT", json.dumps(answer(photos[0])))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fer", required=True, help="a Python that has it")
    parser.add_argument("--images", required=True, type=Path, help="a .zip")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--out", required=True)
    parsed = parser.parse_args()
    version = said(
        parsed.fer,
        "from importlib.metadata import version; import json;"
        "print('RESULT', json.dumps(version('fer')))",
    )
    packages = {
        "kerafer": (sys.executable, OURS),
        f"fer {version}": (parsed.fer, FER.format(mtcnn=False)),
        f"fer {version}, mtcnn": (parsed.fer, FER.format(mtcnn=True)),
    }
    taken = {name: [] for name in packages}
    with tempfile.TemporaryDirectory() as folder:
        facts = Path(folder, "facts.json")
        photos = unpack(parsed.images, parsed.count, Path(folder))
        video = Path(folder, "video.mp4")
        draw_video(video)
        facts.write_text(json.dumps([photos, str(video)]))
        for _ in range(parsed.turns):
            for name, (python, program) in packages.items():
                began = time.perf_counter()
                said(python, program + FIRST, facts)
                first = time.perf_counter() - began
                loop = said(python, program + LOOP, facts)
                taken[name].append((first, *loop))
    machine = versions()
    rows = []
    for name, turns in taken.items():
        first, found, each, rate = (
            statistics.median(values) for values in zip(*turns, strict=True)
        )
        rows.append(
            {
                "package": name,
                "seconds to the first answer": round(first, 2),
                "ms a further photo": round(1e3 * each, 1),
                "with a face found": f"{found:.0f} of {len(photos)}",
                "frames/s": round(rate, 1),
                "turns": len(turns),
                "processor": machine["processor"],
                "cores": machine["cores"],
            }
        )
    table = pd.DataFrame(rows)
    write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))
    print(table.to_string(index=False))


def unpack(archive: Path, count: int, folder: Path) -> list[str]:
    with zipfile.ZipFile(archive) as opened:
        names = [n for n in opened.namelist() if n.lower().endswith(".jpg")]
        chosen = np.random.default_rng(0).permutation(sorted(names))[:count]
        files = []
        for index, name in enumerate(chosen.tolist()):
            file = folder / f"{index}.jpg"
            file.write_bytes(opened.read(name))
            files.append(str(file))
    return files


def said(python: str, program: str, *arguments: object) -> object:
    """What a program of another Python prints after RESULT."""
    done = subprocess.run(
        [python, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
    )
    lines = [x for x in done.stdout.splitlines() if x.startswith("RESULT ")]
    if done.returncode or not lines:
        sys.exit(f"{python} failed:\n{done.stderr[-2000:]}")
    return json.loads(lines[-1].removeprefix("RESULT "))


if __name__ == "__main__":
    main()
