"""Check exported .tflite files on the machine that is to run them.

python verify_export.py exported/<name>

Runs every .tflite file of the folder on the images of its golden.npz and
compares the answers with those of the machine that exported it. Needs NumPy
and LiteRT (ai-edge-litert, or tflite-runtime) and nothing else; this file may
be copied to the device alone. Exits 1 where a file differs.
"""

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path

import numpy as np

# Largest difference of a probability, or part of a larger number, that another
# processor may bring: its own order of summing, half precision for float16
# files, and a few steps of 1/256 where the answer itself has 8 bits.
TOLERANCES = {
    "float32": 1e-4,
    "float16": 1e-2,
    "dynamic": 2e-2,
    "int8": 4 / 256,
}


def interpreter_class() -> type:
    """LiteRT's interpreter, whatever the package is called here."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError:
            sys.exit("LiteRT is missing: pip install ai-edge-litert")
    return Interpreter


def answers(
    file: Path, images: np.ndarray, threads: int
) -> tuple[np.ndarray, float]:
    """The first output for every image, and the median ms of one."""
    interpreter = interpreter_class()(str(file), num_threads=threads)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    target = interpreter.get_output_details()[0]
    scale, zero = target["quantization"]
    results, times = [], []
    for image in images:
        given = as_tensor(image, source["dtype"], *source["quantization"])
        interpreter.set_tensor(source["index"], given[None])
        start = time.perf_counter()
        interpreter.invoke()
        times.append(time.perf_counter() - start)
        values = interpreter.get_tensor(target["index"])[0]
        if scale:
            values = (values.astype(np.float32) - zero) * np.float32(scale)
        results.append(values)
    return np.stack(results), 1e3 * float(np.median(times))


def as_tensor(
    image: np.ndarray, kind: type, scale: float, zero: int
) -> np.ndarray:
    """Bytes as they are; floats, for a file of whole numbers, in its steps."""
    if image.dtype == np.uint8 or kind == np.float32:
        return image.astype(kind)
    steps = np.rint(image / np.float32(scale)) + zero
    return steps.clip(np.iinfo(kind).min, np.iinfo(kind).max).astype(kind)


def main() -> int:
    """Check a folder; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parsed = parser.parse_args()
    files = sorted(parsed.folder.glob("*.tflite"))
    golden_file = parsed.folder / "golden.npz"
    if not files or not golden_file.is_file():
        print(
            "An exported folder has .tflite files and golden.npz. "
            f"{parsed.folder} lacks one of them.",
            file=sys.stderr,
        )
        return 2
    golden = np.load(golden_file)
    manifest = parsed.folder / "manifest.json"
    told = {}
    if manifest.is_file():
        told = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    failed = 0
    print(f"{'file':18}{'largest difference':>20}{'same class':>12}{'ms':>9}")
    for file in files:
        if file.name not in golden:
            print(f"{file.name:18}golden.npz has no answers for it  FAILED")
            failed += 1
            continue
        found, milliseconds = answers(file, golden["images"], parsed.threads)
        expected = golden[file.name]
        # Of probabilities, or of numbers of any size.
        largest = max(1.0, float(np.abs(expected).max()))
        difference = float(np.abs(found - expected).max()) / largest
        same = int((found.argmax(1) == expected.argmax(1)).sum())
        good = difference <= TOLERANCES.get(file.stem, 1e-4)
        entry = told.get(file.name)
        if entry and entry["sha256"] != _sha256(file):
            print(f"{file.name} is not the file of manifest.json")
            good = False
        failed += not good
        print(
            f"{file.name:18}{difference:20.3g}{same:9} /{len(expected)}"
            f"{milliseconds:9.2f}  {'ok' if good else 'FAILED'}"
        )
    return 1 if failed else 0


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
