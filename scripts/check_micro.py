"""Run an exported int8 model in TensorFlow Lite Micro.

    make check-micro EXPORT=exported/my_model

Prints the size of the tensor arena, and how often the answers to the golden
images agree with those in `golden.npz`. Needs the package tflite-micro, which
has an environment of its own. Exit code: 1 if a predicted class differs by
more than rounding explains.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
from tflite_micro.python.tflite_micro import runtime

ARENA = 8_000_000
# Micro's kernels round differently: 0.11 was seen between two of them.
MOST_DIFFERENT = 0.15


def arena_bytes(interpreter: runtime.Interpreter) -> int:
    """Read the size of the arena, which is printed by the C++ code."""
    with tempfile.TemporaryFile("w+") as stream:
        before = os.dup(2)
        os.dup2(stream.fileno(), 2)
        try:
            interpreter.print_allocations()
        finally:
            os.dup2(before, 2)
            os.close(before)
        stream.seek(0)
        found = re.search(r"allocation total (\d+) bytes", stream.read())
    if found is None:
        raise SystemExit("TensorFlow Lite Micro prints no arena size.")
    return int(found[1])


def check(export: Path) -> bool:
    """Compare one export with its golden answers."""
    file = export / "int8.tflite"
    interpreter = runtime.Interpreter.from_file(str(file), arena_size=ARENA)
    with np.load(export / "golden.npz", allow_pickle=False) as golden:
        images, expected = golden["images"], golden["int8.tflite"]
    quantization = interpreter.get_output_details(0)["quantization_parameters"]
    scale, zero = quantization["scales"][0], quantization["zero_points"][0]
    answers = []
    for image in images:
        interpreter.set_input(image[None], 0)
        interpreter.invoke()
        answers.append((interpreter.get_output(0)[0] - float(zero)) * scale)
    difference = np.abs(np.array(answers) - expected).max(axis=1)
    same = np.argmax(answers, axis=1) == expected.argmax(axis=1)
    print(
        f"{export.name}: arena {arena_bytes(interpreter):,} bytes, same class "
        f"for {same.sum()} of {len(same)} golden images, largest difference "
        f"{difference.max():.3f}"
    )
    # Two classes that are nearly equal may change places.
    return bool((difference <= MOST_DIFFERENT).all())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("exports", nargs="+", type=Path, metavar="EXPORT")
    parsed = parser.parse_args()
    for export in parsed.exports:
        if not (export / "int8.tflite").is_file():
            parser.error(f"File not found: {export / 'int8.tflite'}")
    return int(not all([check(export) for export in parsed.exports]))


if __name__ == "__main__":
    sys.exit(main())
