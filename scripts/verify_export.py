"""Check exported .tflite files on the machine that is to run them.

    python verify_export.py exported/<name>

Runs every .tflite file of the folder on the images of its golden.npz and
compares the answers with those of the machine that exported it, of the same
kernels: int8 files are run by LiteRT's usual kernels (XNNPACK where it has
them) and by its reference kernels, which round in other places. Needs NumPy and
LiteRT (ai-edge-litert, or tflite-runtime) only; this file may be copied to the
device alone. Exits 1 if a file differs.
"""

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

# Largest difference of a probability, or part of a larger number, that the same
# kernels may have on another processor: its order of summing, half precision
# for float16 files, and a few steps of 1/256 where the answer has 8 bits.
TOLERANCES = {
    "float32": 1e-4,
    "float16": 1e-2,
    "dynamic": 2e-2,
    "int8": 4 / 256,
}


def open_interpreter(file: Path, threads: int, reference: bool) -> Any:
    """Open a file with the usual kernels or with the reference kernels."""
    try:
        from ai_edge_litert import interpreter as litert
    except ImportError:
        try:
            from tflite_runtime import interpreter as litert
        except ImportError:
            sys.exit("LiteRT is missing: pip install ai-edge-litert")
    options = {}
    if reference:
        kind = litert.OpResolverType.BUILTIN_REF
        options["experimental_op_resolver_type"] = kind
    interpreter = litert.Interpreter(str(file), num_threads=threads, **options)
    interpreter.allocate_tensors()
    return interpreter


def kernels(interpreter: Any, reference: bool) -> str:
    """Name the kernels that run, as far as LiteRT tells."""
    if reference:
        return "reference"
    names = [one["op_name"] for one in interpreter._get_ops_details()]
    return "XNNPACK" if "DELEGATE" in names else "built-in"


def run(interpreter: Any, images: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the first output for every image, and the median ms of one."""
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
    manifest = {}
    if (parsed.folder / "manifest.json").is_file():
        text = (parsed.folder / "manifest.json").read_text(encoding="utf-8")
        manifest = json.loads(text)["files"]
    failed = 0
    print(
        f"{'file':16}{'kernels':>10}{'mean':>10}{'largest':>9}"
        f"{'same class':>12}{'ms':>9}"
    )
    for file in files:
        if file.name not in golden:
            print(f"{file.name:16} golden.npz has no answers for it  FAILED")
            failed += 1
            continue
        entry = manifest.get(file.name)
        if entry and entry["sha256"] != _sha256(file):
            print(f"{file.name} is not the file of manifest.json")
            failed += 1
        for reference in (False, True):
            name = file.name + " reference" * reference
            if name not in golden:
                continue
            interpreter = open_interpreter(file, parsed.threads, reference)
            found, milliseconds = run(interpreter, golden["images"])
            expected = golden[name]
            # Of probabilities, or of numbers of any size.
            largest = max(1.0, float(np.abs(expected).max()))
            off = np.abs(found - expected) / largest
            same = int((found.argmax(-1) == expected.argmax(-1)).sum())
            good = off.max() <= TOLERANCES.get(file.stem, 1e-4)
            failed += not good
            print(
                f"{file.name:16}{kernels(interpreter, reference):>10}"
                f"{off.mean():10.2g}{off.max():9.2g}"
                f"{same:7} /{len(expected):3}{milliseconds:9.2f}  "
                f"{'ok' if good else 'FAILED'}"
            )
    return 1 if failed else 0


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
