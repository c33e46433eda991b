"""What looser crops cost, on labelled portraits of another kind.

    python benchmarks/framing.py MODEL.keras ... --images faces.zip \
        --out docs/results/framing.csv

For each model and margin a row: accuracy and macro F1 over the classes that
the portraits have. `--split` names a split.csv with `share:` columns, as FER+
has; each model then has a second row, divided by the power 0.35 of the training
split's shares, as what ships is.
"""

import argparse
import functools
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

from kerafer.files import write_text
from kerafer.models import load_model
from kerafer.runtime.labels import find_labels
from kerafer.training.temperature_scaling import divide_by_prior
from kerafer.workflows.other_images import find_other_images

_POWER = 0.35


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--subject-pattern", default=r"^(.+)_\d+")
    parser.add_argument("--margins", default="0,0.2")
    parser.add_argument("--split", type=Path)
    parser.add_argument("--out", required=True)
    parsed = parser.parse_args()
    # Faces are searched once for all models that take the same.
    find = functools.cache(find_other_images)
    rows = []
    for margin in map(float, parsed.margins.split(",")):
        for file in parsed.models:
            model = load_model(file)
            names = find_labels(file, model.output_shape[-1])
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
                said = model.predict(found.images, verbose=0)
                rows.append(facts | scores(said, found.labels))
    table = pd.DataFrame(rows)
    write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))
    print(table.to_string(index=False))


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
    return train[[f"share:{name}" for name in names]].mean().to_numpy()


if __name__ == "__main__":
    main()
