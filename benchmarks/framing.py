"""What looser crops cost, on labelled portraits of another kind.

    python benchmarks/framing.py MODEL.keras ... --images faces.zip \
        --out docs/results/framing.csv

For each model and margin a row: accuracy and macro F1 over the classes that
the portraits have. `--split` names a split.csv with `prob:` columns, as FER+
has; each model then has a second row, divided by the power 0.35 of the training
split's shares, as what ships is.

With `--parts` also why a looser crop costs something: the crop without a margin
with as few pixels as the face has in the looser one (its resolution alone),
shrunk with its edge repeated around it (resolution and place, without what else
is around a face), and the looser crop cut back to the face.

With `--ferplus` the images are FER+'s of the split's validation and test parts,
as they are and shrunk with the edge repeated, as a margin of 0.2 would show
them: on the former half one may choose.
"""

import argparse
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

from kerafer.datasets import load, read_split
from kerafer.datasets.decoded import decode
from kerafer.evaluation.external_test import ExternalTest
from kerafer.files import write_text
from kerafer.images import resize
from kerafer.inference import ModelSource
from kerafer.models import load_model
from kerafer.training.calibration import divide_by_prior

_POWER = 0.35
_LOOSE = 0.2
# Pixels a side of its images.
_FERPLUS = 48


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--ferplus", type=Path)
    parser.add_argument("--subject-pattern", default=r"^(.+)_\d+")
    parser.add_argument("--margins", default="0,0.2")
    parser.add_argument("--split", type=Path)
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--out", required=True)
    parsed = parser.parse_args()
    rows = on_ferplus(parsed) if parsed.ferplus else on_portraits(parsed)
    table = pd.DataFrame(rows)
    write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))
    print(table.to_string(index=False))


def on_portraits(parsed: argparse.Namespace) -> list[dict[str, object]]:
    """A row for each model, margin, power and view."""
    # Faces are searched once for all models that take the same.
    find = functools.cache(ExternalTest.load)
    rows = []
    for margin in map(float, parsed.margins.split(",")):
        for file in parsed.models:
            model = load_model(file)
            names = ModelSource(file).labels
            found = find(
                parsed.images,
                parsed.subject_pattern,
                names,
                tuple(model.input_shape[1:]),
                margin,
            )
            for power in (0.0, _POWER) if parsed.split else (0.0,):
                if power:
                    divide_by_prior(model, shares(parsed.split, names), power)
                facts = {
                    "model": file.parent.name,
                    "margin": margin,
                    "power of the prior": power,
                }
                for shown, images in views(found.images, margin, parsed.parts):
                    said = model.predict(images, verbose=0)
                    told = facts | {"shown": shown} if parsed.parts else facts
                    rows.append(told | scores(said, found.labels))
    return rows


def on_ferplus(parsed: argparse.Namespace) -> list[dict[str, object]]:
    """A row for each model, part and frame."""
    dataset = load("ferplus", parsed.ferplus)
    parts = read_split(parsed.split, dataset).to_numpy()
    images = decode(dataset, _FERPLUS, 1).images
    rows = []
    for file in parsed.models:
        model = load_model(file)
        size = model.input_shape[1]
        for part in ("validation", "test"):
            here = np.flatnonzero(parts == part)
            for margin, shown in (
                (0.0, _resized(images[here], size)),
                (_LOOSE, _with_edges(images[here], size)),
            ):
                said = model.predict(shown, 256, verbose=0)
                facts = {"model": file.parent.name, "pixels": size}
                facts |= {"part": part, "margin": margin}
                rows.append(facts | scores(said, dataset.labels[here]))
    return rows


def views(
    images: np.ndarray, margin: float, parts: bool
) -> Iterator[tuple[str, np.ndarray]]:
    """The crops, and what tells apart why they are hard."""
    yield "as it is", images
    if not parts:
        return
    size = images.shape[1]
    if margin:
        inner = round(size / (1 + 2 * margin))
        start = (size - inner) // 2
        face = images[:, start : start + inner, start : start + inner]
        yield "cut back to the face", _resized(face, size)
        return
    few = _pixels_of_the_face(size)
    yield f"{few} pixels, enlarged", _resized(_resized(images, few), size)
    yield f"{few} pixels, edge repeated", _with_edges(images, size)


def _with_edges(images: np.ndarray, size: int) -> np.ndarray:
    """As a looser crop shows them, the edge in place of what is around."""
    few = _pixels_of_the_face(size)
    before = (size - few) // 2
    around = (before, size - few - before)
    edges = [(0, 0), around, around, (0, 0)]
    return np.pad(_resized(images, few), edges, "edge")


def _resized(images: np.ndarray, size: int) -> np.ndarray:
    made = [resize(one, (size, size)) for one in images]
    return np.stack(made).reshape(-1, size, size, images.shape[-1])


def _pixels_of_the_face(size: int) -> int:
    """As many as it has a side in a looser crop."""
    return round(size / (1 + 2 * _LOOSE))


def scores(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, object]:
    """The numbers of a row."""
    # Only what the portraits have is asked for.
    seen = np.isin(np.arange(probabilities.shape[1]), labels)
    answers = np.where(seen, probabilities, -1.0).argmax(axis=1)
    return {
        "images": len(labels),
        "accuracy %": round(100 * float(np.mean(answers == labels)), 1),
        "macro F1": round(float(f1_score(labels, answers, average="macro")), 3),
    }


def shares(split: Path, names: tuple[str, ...]) -> np.ndarray:
    """How frequent each class is in the training split, by votes."""
    table = pd.read_csv(split)
    train = table[table["split"] == "train"]
    return train[[f"prob:{name}" for name in names]].mean().to_numpy()


if __name__ == "__main__":
    main()
