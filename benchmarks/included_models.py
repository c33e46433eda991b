"""Score the int8 files that `kerafer predict` runs on FER+'s test half.

    python benchmarks/included_models.py --ferplus FERPLUS \\
        --split runs/kerafer_edge_ferplus/split.csv --out docs/results

The images are the test part of the split: every other image of FER+'s
validation part, less those that nearly equal another. They trained,
calibrated and selected nothing. The other half fits the thresholds. Writes
`included_models.csv` (accuracy and macro F1 on all images and on those where
more than half of the annotators agree), `included_models_panel.csv` (panels
of annotators against the others) and `included_models_coverage.csv` (accuracy
on the most probable predictions).
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

import kerafer
from kerafer.datasets import load
from kerafer.evaluation import bootstrap_intervals, classify
from kerafer.evaluation.panel import panel_curve
from kerafer.model_files import included_model, included_models
from kerafer.tables import write_table
from kerafer.versions import versions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ferplus", type=Path, required=True)
    parser.add_argument("--split", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parsed = parser.parse_args()
    dataset = load("ferplus", parsed.ferplus, verify=False)
    rows, panels, coverages = [], [], []
    for name in included_models():
        found = kerafer.evaluate(
            included_model(name) / "int8.tflite",
            "ferplus",
            subset="test",
            target_accuracy=0.95,
            data_dir=str(parsed.ferplus),
            split=str(parsed.split),
        )
        told, selective = found.predictions, found.scores.selective
        places = pd.Index(dataset.manifest["path"]).get_indexer(told.paths)
        majority, votes = dataset.majority[places], dataset.votes[places]
        for protocol, kept in (
            ("all", np.ones_like(majority)),
            ("majority", majority),
        ):
            labels, predicted = told.labels[kept], told.predicted[kept]
            scores = classify(
                labels, told.probabilities[kept], told.class_names
            )
            ends = bootstrap_intervals(labels, predicted, 8)
            rows.append(
                {
                    "model": name,
                    "protocol": protocol,
                    "n": len(labels),
                    "accuracy": scores.accuracy,
                    "accuracy_low": ends["accuracy"].low,
                    "accuracy_high": ends["accuracy"].high,
                    "macro_f1": scores.macro["f1"],
                    "macro_f1_low": ends["macro_f1"].low,
                    "macro_f1_high": ends["macro_f1"].high,
                    "bytes": Path(found.facts["model"]["path"]).stat().st_size,
                    "split_digest": told.digest,
                }
            )
            curve = panel_curve(votes[kept], predicted)
            panels.append(curve.assign(model_name=name, protocol=protocol))
        curve = found.scores.coverage.assign(kind="one threshold")
        answered = {
            "coverage": selective.coverage,
            "accuracy": selective.accuracy,
            "accuracy_low": selective.interval[0],
            "accuracy_high": selective.interval[1],
            "kind": "thresholds per class for 95 %",
        }
        curve = pd.concat([curve, pd.DataFrame([answered])])
        coverages.append(curve.assign(model_name=name))
    table = pd.DataFrame(rows).assign(**versions())
    for file, found in (
        ("included_models.csv", table),
        ("included_models_panel.csv", pd.concat(panels)),
        ("included_models_coverage.csv", pd.concat(coverages)),
    ):
        write_table(parsed.out / file, found.round(6))
    print(table.iloc[:, :9].round(3).to_string(index=False))


if __name__ == "__main__":
    main()
