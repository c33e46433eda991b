"""The folds of a cross-validation, together in a table and a report."""

import dataclasses
import json
import re
import statistics

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn import metrics

from kerafer.datasets import Dataset, make_split, write_split
from kerafer.errors import ConfigError
from kerafer.evaluation import Predictions, bootstrap_intervals, classify
from kerafer.training.config import TrainingConfig
from kerafer.training.cross_validation import cross_validate

NAMES = ("angry", "bored", "calm")


def make_dataset(people=True):
    """Sixteen people with two or more images of every class."""
    generator = np.random.default_rng(1)
    sizes = 6 + generator.integers(0, 5, 16)
    labels = np.concatenate([np.arange(size) % 3 for size in sizes])
    manifest = pd.DataFrame(
        {
            "path": [f"p{i:03}.jpg" for i in range(len(labels))],
            "label": [NAMES[i] for i in labels],
        }
    )
    if people:
        manifest["subject"] = np.repeat([f"NA{i}" for i in range(16)], sizes)
    return Dataset("folder", manifest, NAMES)


def make_runs(folder, count=4, people=True):
    """What trainings of all folds would have left, their answers drawn."""
    generator = np.random.default_rng(2)
    dataset = make_dataset(people)
    runs, told = [], []
    for fold in range(1, count + 1):
        run = folder / f"fold-{fold}"
        run.mkdir(parents=True)
        kind = f"fold-{fold}-of-{count}"
        split = make_split(dataset, kind, 3)
        write_split(run / "split.csv", dataset, split)
        config = {"dataset": "folder", "arch": "cnn", "seed": 3, "split": kind}
        (run / "config.yaml").write_text(yaml.safe_dump(config))
        tested = dataset.select((split == "test").to_numpy())
        logits = generator.normal(size=(len(tested), 3))
        logits += 1.5 * np.eye(3)[tested.labels]
        probabilities = np.exp(logits)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        ours = Predictions(
            tested.manifest["path"].to_numpy(object),
            tested.labels,
            probabilities,
            NAMES,
        )
        ours.write(run / "predictions.csv")
        values = {
            "test": classify(tested.labels, probabilities, NAMES).as_dict(),
            "best_epoch": 10 + fold,
            "notes": ["All are well.", *(["No calm."] if fold == 2 else [])],
        }
        (run / "metrics.json").write_text(json.dumps(values))
        runs.append(run)
        told.append(ours)
    return runs, told


CONFIG = TrainingConfig(dataset="folder", arch="cnn", seed=3)


def test_finished_folds_are_reported_without_training(tmp_path):
    _, told = make_runs(tmp_path)
    table = cross_validate(CONFIG, 4, tmp_path)
    assert table["fold"].tolist() == [1, 2, 3, 4]
    assert table["best_epoch"].tolist() == [11, 12, 13, 14]
    assert table["n_images"].sum() == len(make_dataset())
    assert table["n_subjects"].sum() == 16
    for row, ours in zip(table.itertuples(), told, strict=True):
        assert row.n_images == len(ours.labels)
        assert row.accuracy == pytest.approx(
            metrics.accuracy_score(ours.labels, ours.predicted)
        )
        assert row.macro_f1 == pytest.approx(
            metrics.f1_score(ours.labels, ours.predicted, average="macro")
        )
    head = (tmp_path / "folds.csv").read_text().splitlines()[0]
    assert head == "fold,n_images,n_subjects,accuracy,macro_f1,best_epoch"


def test_report_has_the_accuracy_of_all_images_and_its_interval(tmp_path):
    _, told = make_runs(tmp_path)
    cross_validate(CONFIG, 4, tmp_path)
    report = (tmp_path / "report.md").read_text()
    accuracies = [(one.labels == one.predicted).mean() for one in told]
    mean, deviation = re.findall(
        r"\| \*\*(?:mean|standard deviation)\*\* \| \| \| (\S+)% ", report
    )
    assert float(mean) == pytest.approx(
        100 * statistics.mean(accuracies), abs=0.051
    )
    assert float(deviation) == pytest.approx(
        100 * statistics.stdev(accuracies), abs=0.051
    )
    whose = dict(make_dataset().manifest[["path", "subject"]].to_numpy())
    right = {
        path: predicted == label
        for one in told
        for path, predicted, label in zip(
            one.paths, one.predicted, one.labels, strict=True
        )
    }
    paths = sorted(right)
    assert paths == sorted(whose)
    # Of two classes, right and wrong, the accuracy is the same.
    found = bootstrap_intervals(
        np.zeros(len(paths), int),
        np.array([not right[path] for path in paths], int),
        2,
        [whose[path] for path in paths],
    )["accuracy"]
    low, high = map(
        float,
        re.search(r"95 % interval (\S+) to (\S+)%\)", report).groups(),
    )
    assert low == pytest.approx(100 * found.low, abs=1)
    assert high == pytest.approx(100 * found.high, abs=1)
    accuracy = np.mean(list(right.values()))
    assert f"**{accuracy:.1%} of {len(paths)} images**" in report
    assert "16 subjects" in report and "No calm." in report
    assert (
        "kerafer train --dataset folder --seed 3 --arch cnn --folds 4" in report
    )


def test_without_subjects_the_interval_is_over_images(tmp_path):
    make_runs(tmp_path, people=False)
    table = cross_validate(CONFIG, 4, tmp_path)
    assert table["n_subjects"].isna().all()
    report = (tmp_path / "report.md").read_text()
    assert f"{len(make_dataset())} images;" in report
    assert "<NA>" not in report and "nan" not in report


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (dataclasses.replace(CONFIG, seed=4), 4),
        (dataclasses.replace(CONFIG, split="subject"), 4),
        (CONFIG, 1),
    ],
    ids=["another seed", "a split", "one fold"],
)
def test_folds_that_do_not_belong_together_are_refused(config, count, tmp_path):
    make_runs(tmp_path)
    with pytest.raises(ConfigError):
        cross_validate(config, count, tmp_path)
