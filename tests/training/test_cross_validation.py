"""The folds of a cross-validation, together in a table and a report."""

import json
import re
import statistics

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn import metrics

from kerafer.datasets import Dataset, make_split, write_split
from kerafer.errors import UserError
from kerafer.evaluation import Predictions, bootstrap_intervals, classify
from kerafer.tables import read_table, write_table
from kerafer.training.cross_validation import CrossValidation

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


def make_runs(folder, count=4, people=True, predictions=True, **settings):
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
        (run / "config.yaml").write_text(yaml.safe_dump(config | settings))
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
        if predictions:
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


def test_table_has_the_scores_of_every_fold(tmp_path):
    runs, told = make_runs(tmp_path)
    table = CrossValidation(runs[::-1]).table()
    assert table["fold"].tolist() == [1, 2, 3, 4]
    assert table["best_epoch"].tolist() == [11, 12, 13, 14]
    assert table["n_images"].sum() == len(make_dataset())
    assert table["people"].sum() == 16
    for row, ours in zip(table.itertuples(), told, strict=True):
        assert row.n_images == len(ours.labels)
        assert row.accuracy == pytest.approx(
            metrics.accuracy_score(ours.labels, ours.predicted)
        )
        assert row.macro_f1 == pytest.approx(
            metrics.f1_score(ours.labels, ours.predicted, average="macro")
        )
    write_table(tmp_path / "folds.csv", table)
    head = (tmp_path / "folds.csv").read_text().splitlines()[0]
    assert head == "fold,n_images,people,accuracy,macro_f1,best_epoch"


def test_report_tells_mean_deviation_and_all_pictures_together(tmp_path):
    runs, told = make_runs(tmp_path)
    report = CrossValidation(runs).report()
    accuracies = [(one.labels == one.predicted).mean() for one in told]
    mean, deviation = re.findall(
        r"\| \*\*(?:mean|standard deviation)\*\* \|  \|  \| (\S+)% ", report
    )
    assert float(mean) == pytest.approx(
        100 * statistics.mean(accuracies), abs=0.051
    )
    assert float(deviation) == pytest.approx(
        100 * statistics.stdev(accuracies), abs=0.051
    )
    dataset = make_dataset()
    whose = dict(dataset.manifest[["path", "subject"]].to_numpy())
    right = {
        path: predicted == label
        for one in told
        for path, predicted, label in zip(
            one.paths, one.predicted, one.labels, strict=True
        )
    }
    paths = sorted(right)
    assert paths == sorted(dataset.manifest["path"])
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
    assert f"**{accuracy:.1%} of {len(paths)} images** are recog" in report
    assert "trained without its person" in report
    assert "choice of people reaches: 16 of them" in report
    assert "* All are well.\n* Fold 2: No calm.\n" in report
    assert (
        "kerafer train --dataset folder --seed 3 --arch cnn --folds 4" in report
    )


def test_without_people_the_table_has_none(tmp_path):
    runs, _ = make_runs(tmp_path, people=False)
    assert CrossValidation(runs).table()["people"].isna().all()
    report = CrossValidation(runs).report()
    assert "trained without it." in report
    size = len(make_dataset())
    assert f"choice of images reaches: {size} of them" in report
    assert "<NA>" not in report and "nan" not in report


def test_without_predictions_there_is_no_interval(tmp_path):
    runs, told = make_runs(tmp_path / "none", predictions=False)
    report = CrossValidation(runs).report()
    right = np.concatenate([one.labels == one.predicted for one in told])
    assert f"**{right.mean():.1%} of {len(right)} images**" in report
    assert "95 %" not in report
    runs, _ = make_runs(tmp_path / "some")
    (runs[1] / "predictions.csv").unlink()
    assert "95 %" not in CrossValidation(runs).report()


def change_metrics(run, **values):
    file = run / "metrics.json"
    now = json.loads(file.read_text()) | values
    file.write_text(json.dumps({k: v for k, v in now.items() if v is not None}))


def change_config(run, **values):
    file = run / "config.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | values))


def move_test_picture(run):
    table = read_table(run / "split.csv")
    table.loc[table["split"].eq("test").idxmax(), "split"] = "train"
    write_table(run / "split.csv", table)


def swap_predictions(run):
    other = run.parent / "fold-1" / "predictions.csv"
    (run / "predictions.csv").write_bytes(other.read_bytes())


def turn_predictions(run):
    file = run / "predictions.csv"
    text = file.read_text().replace("p_angry,p_bored", "p_bored,p_angry")
    file.write_text(text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "metrics.json").unlink(), "that are over"),
        (lambda run: (run / "metrics.json").write_text("{"), "is none"),
        (lambda run: change_metrics(run, test={}), "KeyError"),
        (lambda run: change_metrics(run, best_epoch=None), "best_epoch"),
        (lambda run: change_metrics(run, notes=None), "notes"),
        (lambda run: (run / "split.csv").unlink(), "split.csv"),
        (lambda run: (run / "config.yaml").unlink(), "config.yaml"),
        (lambda run: change_config(run, split="subject"), "has subject"),
        (lambda run: change_config(run, split=None), "has none"),
        (
            lambda run: change_config(run, split="fold-1-of-4"),
            "1 to 4. Received: 1, 1, 2, 4",
        ),
        (lambda run: change_config(run, seed=4), "same settings"),
        (
            lambda run: change_config(run, split="fold-3-of-5"),
            "same settings",
        ),
        (move_test_picture, "test every image once"),
        (swap_predictions, "predictions.csv is not"),
        (turn_predictions, "predictions.csv is not"),
    ],
)
def test_runs_that_are_no_cross_validation(damage, message, tmp_path):
    runs, _ = make_runs(tmp_path)
    CrossValidation(runs).report()
    damage(runs[2])
    with pytest.raises(UserError, match=message):
        CrossValidation(runs).report()


def test_lacking_folds(tmp_path):
    runs, _ = make_runs(tmp_path)
    with pytest.raises(UserError, match=r"1 to 4\. Received: 1, 3, 4"):
        CrossValidation([runs[0], *runs[2:]]).table()
    with pytest.raises(UserError, match="Received none"):
        CrossValidation([]).table()
    with pytest.raises(UserError, match=r"config\.yaml"):
        CrossValidation([tmp_path / "nothing"]).table()
