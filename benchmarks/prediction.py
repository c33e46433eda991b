"""Measure how fast an export predicts single images, a folder and a video.

    python benchmarks/prediction.py EXPORT --out docs/results/inference.csv

EXPORT has `float32.tflite`, `int8.tflite`, `model.onnx` and `golden.npz`. Each
file predicts the images of `golden.npz` one at a time, the files in turns. The
folder has 64 JPEG files of synthetic faces, 350 x 350 pixels, without face
detection. The video has 50 frames of 640 x 480 pixels with a moving face, which
is detected on every fifth frame. Medians.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

import kerafer
from kerafer.datasets.synthetic import load_synthetic
from kerafer.export.compare import open_file
from kerafer.files import write_text
from kerafer.runtime import WholeImageDetector
from kerafer.versions import versions

FILES = {
    "engine: LiteRT float32": "float32.tflite",
    "engine: LiteRT int8": "int8.tflite",
    "engine: ONNX Runtime float32": "model.onnx",
}
PHOTOS, FRAMES, THREADS = 64, 50, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out")
    parsed = parser.parse_args()
    model = parsed.export / "float32.tflite"
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            *measure_files(parsed.export, parsed.repeats),
            measure_folder(model, Path(folder)),
            measure_video(model, Path(folder)),
        ]
    table = pd.DataFrame(rows).assign(threads=THREADS, **versions())
    print(table.iloc[:, :4].to_string(index=False))
    if parsed.out:
        write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))


def measure_files(export: Path, repeats: int) -> list[dict]:
    """Time every file of the export on the same images, in turns."""
    with np.load(export / "golden.npz") as golden:
        images, expected = golden["images"], golden["keras"].argmax(axis=1)
    predictors = {
        name: open_file(export / file, THREADS) for name, file in FILES.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in FILES}
    for _ in range(repeats):
        for name, predict in predictors.items():
            # Wakes the threads.
            predict(images[0])
            seconds[name] += [
                timed(lambda p=predict, i=image: p(i)) for image in images
            ]
    return [
        {
            **row(name, statistics.median(seconds[name])),
            "same_class": np.mean(
                [int(predict(image)[0].argmax()) for image in images]
                == expected
            ),
        }
        for name, predict in predictors.items()
    ]


def measure_folder(model: Path, folder: Path) -> dict:
    """Time one image after the other, from the file to the result."""
    faces = synthetic_faces(350)
    files = [folder / f"{index}.jpg" for index in range(PHOTOS)]
    for index, file in enumerate(files):
        cv2.imwrite(str(file), faces[index % len(faces)][..., ::-1])
    recognizer = kerafer.Recognizer(
        model, THREADS, detector=WholeImageDetector()
    )
    recognizer.predict(files[0])
    return row(
        "folder: all",
        statistics.median(
            timed(lambda f=file: recognizer.predict(f)) for file in files
        ),
    )


def measure_video(model: Path, folder: Path) -> dict:
    """Time reading and tracking, per frame."""
    file = folder / "video.mp4"
    draw_video(file)
    recognizer = kerafer.Recognizer(model, THREADS)

    def run() -> None:
        tracker, video = recognizer.track(), cv2.VideoCapture(str(file))
        while (frame := video.read()[1]) is not None:
            if not tracker.update(frame, bgr=True):
                raise SystemExit("The detector missed the synthetic face.")

    run()
    seconds = statistics.median(timed(run) for _ in range(3))
    return row("video: all, detection on every 5. frame", seconds / FRAMES)


def draw_video(file: Path) -> None:
    """Write a video of a moving synthetic face."""
    face = synthetic_faces(200)[0][..., ::-1]
    # Optical flow needs texture.
    noise = np.random.default_rng(0).integers(96, 160, (480, 640, 1))
    background = np.repeat(noise, 3, axis=2).astype(np.uint8)
    codec = cv2.VideoWriter_fourcc(*"mp4v")
    video = cv2.VideoWriter(str(file), codec, 25, (640, 480))
    for index in range(FRAMES):
        frame, x = background.copy(), 100 + 4 * index
        frame[140:340, x : x + 200] = face
        video.write(frame)
    video.release()


def synthetic_faces(side: int) -> list[np.ndarray]:
    drawn = load_synthetic(people=1, angles="S", image_size=side)
    return [drawn.read_image(path) for path in drawn.manifest["path"]]


def timed(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def row(what: str, seconds: float) -> dict:
    return {
        "what": what,
        "images_per_second": round(1 / seconds, 1),
        "milliseconds_per_image": round(1000 * seconds, 3),
    }


if __name__ == "__main__":
    main()
