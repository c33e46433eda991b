"""Models of FER+'s votes, with their answers divided by powers of the prior.

    python benchmarks/votes_table.py edge_ferplus.keras runs/edge \
        --ferplus FERPLUS --split runs/edge/split.csv \
        --out docs/results/ferplus.csv

For models whose answers are as they were learnt; of others, which have a prior
divided out already, `--powers 0` tells the scores. For every power each is
calibrated on the validation part, as `kerafer train --prior-correction
--calibrate` does it, and scored on both parts.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from kerafer.datasets import load, read_split
from kerafer.datasets.decoded import decode
from kerafer.datasets.pipeline import Batches
from kerafer.engine import load_backend
from kerafer.evaluation import classify, expected_calibration_error
from kerafer.evaluation.votes import score_votes
from kerafer.files import write_text
from kerafer.versions import versions

SHOWN = ["model", "power", "part", "images", "accuracy", "macro_f1"]
SHOWN += ["agreed", "accuracy_agreed", "divergence", "calibration_error"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--ferplus", required=True)
    parser.add_argument("--split", required=True)
    parser.add_argument("--powers", default="0,0.1,0.2,0.35,0.5")
    parser.add_argument("--out", type=Path, required=True)
    parsed = parser.parse_args()
    load_backend()
    from kerafer.models import load_model
    from kerafer.training.calibration import calibrate
    from kerafer.training.config import TrainingConfig

    dataset = load("ferplus", parsed.ferplus)
    names, labels, shares = dataset.class_names, dataset.labels, dataset.targets
    parts = read_split(parsed.split, dataset).to_numpy()
    rows = {part: np.flatnonzero(parts == part) for part in set(parts)}
    prior = shares[rows["train"]].mean(axis=0)
    table = []
    for file in parsed.models:
        size = load_model(file).input_shape[1]
        images = decode(dataset, size, 1).images
        chosen = Batches(images, shares, 256, rows["validation"])
        for power in map(float, parsed.powers.split(",")):
            # Dividing changes it.
            model = load_model(file)
            config = TrainingConfig(prior_correction=power, calibrate=True)
            changed = calibrate(model, config, chosen, prior, has_votes=True)
            for part in ("validation", "test"):
                here = rows[part]
                said = model.predict(images[here], 256, verbose=0)
                said = said.astype(np.float64)
                scores = classify(labels[here], said, names)
                told = score_votes(
                    shares[here],
                    dataset.majority[here],
                    labels[here],
                    said,
                    names,
                    changed.vote_temperature,
                )
                error = expected_calibration_error(labels[here], said)
                table.append(
                    {
                        "model": file.stem,
                        "power": power,
                        "part": part,
                        "images": len(here),
                        "accuracy": round(scores.accuracy, 4),
                        "macro_f1": round(float(scores.macro["f1"]), 4),
                        "agreed": told.agreed,
                        "accuracy_agreed": round(told.accuracy, 4),
                        "divergence": round(told.divergence, 4),
                        "calibration_error": round(error, 4),
                        "temperature": round(changed.temperature, 4),
                        "vote_temperature": round(changed.vote_temperature, 4),
                    }
                )
    found = pd.DataFrame(table).assign(**versions())
    write_text(parsed.out, found.to_csv(index=False, lineterminator="\n"))
    print(found[SHOWN].to_string(index=False))


if __name__ == "__main__":
    main()
