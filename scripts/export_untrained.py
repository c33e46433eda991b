"""Export an untrained model as int8, to see on which operators it runs.

    python scripts/export_untrained.py wca_mcnn 48 build/untrained/wca_mcnn

Its answers mean nothing; operators, memory and latency are those of a trained
model of the same size.
"""

from __future__ import annotations

import argparse

import numpy as np

import kerafer
from kerafer.images import resize


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="as in kerafer.list_models()")
    parser.add_argument("size", type=int, help="height and width")
    parser.add_argument("out")
    parsed = parser.parse_args()
    generator = np.random.default_rng(0)
    shape = (parsed.size, parsed.size)
    noise = generator.integers(0, 256, (100, 9, 9, 3), np.uint8)
    images = np.stack([resize(image, shape) for image in noise])
    model = kerafer.create_model(parsed.model, 7, (*shape, 3))
    kerafer.export_model(
        model,
        parsed.out,
        "int8",
        images=images,
        force=True,
        ignore_gates=True,
    )


if __name__ == "__main__":
    main()
