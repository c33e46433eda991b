"""The runs of a cross-validation together."""

from __future__ import annotations

import dataclasses
import gc
import os
import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from kerafer import markdown
from kerafer.console import console
from kerafer.datasets.splits import parse_fold
from kerafer.errors import ConfigError, UserError
from kerafer.evaluation.bootstrap import RESAMPLES, bootstrap_intervals
from kerafer.evaluation.predictions import Predictions
from kerafer.files import output_folder, write_text
from kerafer.settings import as_flags
from kerafer.tables import read_table, write_table
from kerafer.training.config import TrainingConfig
from kerafer.training.run import Run
from kerafer.untrusted import read_json

if TYPE_CHECKING:
    from kerafer.training.distributed import DeviceConfig


@dataclasses.dataclass(frozen=True)
class _Fold:
    """A run, and what it was tested on."""

    path: Path
    config: TrainingConfig
    number: int
    count: int
    metrics: dict[str, Any]
    split: pd.DataFrame

    @property
    def scores(self) -> dict[str, Any]:
        """Those of the test part, as `Classification.as_dict` gives them."""
        return self.metrics["test"]

    @property
    def tested(self) -> pd.DataFrame:
        """The rows of the split whose images are the test part."""
        return self.split[self.split["split"] == "test"]

    @property
    def knows_people(self) -> bool:
        """Whether every image says who is seen on it."""
        return "subject" in self.split and (self.split["subject"] != "").all()


def cross_validate(
    config: TrainingConfig,
    count: int,
    out: str | os.PathLike[str] | None = None,
    devices: DeviceConfig | None = None,
) -> CrossValidation:
    """Train the model of every fold that is not finished, and report them.

    Args:
        config: The settings of all folds.
        count: Number of folds, at least 2.
        out: Folder of the runs `fold-1`, ... and of `report.md`. Default:
            `runs/<arch>-<dataset>-<count>-folds`.
        devices: As for `train`. Default: one device.

    Returns:
        The runs and their scores.

    Raises:
        InterruptedTraining: As `train`.
        UserError: For fewer than 2 folds, a split, or earlier folds with
            other settings.
    """
    from kerafer.training.pretrained import with_face_margin
    from kerafer.training.run import find_run
    from kerafer.training.train import train

    if count < 2:
        raise ConfigError(f"`folds` is 2 or more. Received: {count}.")
    config = with_face_margin(config)
    if config.split:
        raise ConfigError(
            "`folds` divides the images itself; `split` is left out. "
            f"Received: `split` {config.split}."
        )
    out = output_folder(
        out, f"runs/{config.arch}-{config.dataset}-{count}-folds"
    )
    runs = []
    for fold in range(1, count + 1):
        # The model of the fold before, and what was traced for it.
        gc.collect()
        own = dataclasses.replace(config, split=f"fold-{fold}-of-{count}")
        path = out / f"fold-{fold}"
        runs.append(path)
        begun = find_run(path)
        if begun and begun.config != own:
            raise ConfigError(
                "The folds of one cross-validation have the same settings. "
                f"There are others in {path}; take another `out`."
            )
        if begun and begun.is_over:
            console.print(f"{path} is over already.")
            continue
        console.print(f"Fold {fold} of {count}")
        train(own, path, resume=path if begun else None, devices=devices)

    done = CrossValidation(runs)
    write_table(out / "folds.csv", done.table())
    write_text(out / "report.md", done.report())
    console.print(f"Written to {out}: report.md, folds.csv")
    return done


class CrossValidation:
    """The folds of one cross-validation, read once for all that is told.

    Args:
        runs: The folders of the runs, in any order: each fold of one
            cross-validation once, all over.

    Raises:
        UserError: Where the runs are not the folds of one cross-validation.
    """

    def __init__(self, runs: list[Path]) -> None:
        self._folds = _read(runs)

    def table(self) -> pd.DataFrame:
        """One row for each fold.

        Returns:
            Columns `fold`, `n_images` and `people` of its test part (`people`
            is missing where they are not known), `accuracy` and `macro_f1` on
            it, and `best_epoch`, whose weights were tested.
        """
        return _table(self._folds)

    def report(self) -> str:
        """Write all folds up as Markdown.

        The accuracy is that of all images together. It has an interval where
        every run's folder has a `predictions.csv` of its test part, as
        `kerafer.evaluation.Predictions` writes it.

        Raises:
            UserError: Where predictions are not of their test parts.
        """
        folds, first = self._folds, self._folds[0]
        confusion = np.sum([fold.scores["confusion"] for fold in folds], axis=0)
        accuracy = confusion.trace() / confusion.sum()
        interval, told = _interval(folds)
        without = "its person" if first.knows_people else "it"
        return "\n".join(
            [
                f"# {first.config.arch} on {first.config.dataset}, "
                f"{first.count} folds",
                "",
                f"**{accuracy:.1%} of {int(confusion.sum()):,} images** are "
                f"recognised{interval}, each by the model that was trained "
                f"without {without}.",
                "",
                *(f"* {note}" for note in _notes(folds)),
                "",
                *_rows(self.table()),
                "",
                "The standard deviation is that between the folds. Their "
                "models share training images, so it is no interval of the "
                "mean.",
                "",
                *([told, ""] if told else []),
                "Reproduce with:",
                "",
                f"    {_command(first)}",
                "",
            ]
        )


def _table(folds: list[_Fold]) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "fold": fold.number,
            "n_images": fold.scores["n_images"],
            "people": (
                fold.tested["subject"].nunique() if fold.knows_people else None
            ),
            "accuracy": fold.scores["accuracy"],
            "macro_f1": fold.scores["macro"]["f1"],
            "best_epoch": fold.metrics["best_epoch"],
        }
        for fold in folds
    )
    return table.astype({"people": "Int64"})


def _rows(table: pd.DataFrame) -> list[str]:
    """The table in Markdown, with the mean and deviation of the scores."""
    scores = table[["accuracy", "macro_f1"]]
    head = (
        *("fold", "test images", "people"),
        *("accuracy", "macro F1", "best epoch"),
    )
    rows = [
        (
            row.fold,
            f"{row.n_images:,}",
            "" if pd.isna(row.people) else f"{row.people:,}",
            f"{row.accuracy:.1%}",
            f"{row.macro_f1:.3f}",
            row.best_epoch,
        )
        for row in table.itertuples()
    ]
    spread = {"mean": scores.mean(), "standard deviation": scores.std(ddof=1)}
    rows += [
        (
            f"**{name}**",
            "",
            "",
            f"{one.accuracy:.1%}",
            f"{one.macro_f1:.3f}",
            "",
        )
        for name, one in spread.items()
    ]
    return markdown.table(head, rows)


def _command(fold: _Fold) -> str:
    """What trains all folds once more."""
    flags = as_flags(
        dataclasses.replace(fold.config, split=None),
        always=("dataset", "arch"),
    )
    words = ["kerafer", "train", *flags, "--folds", str(fold.count)]
    return shlex.join(words)


def _interval(folds: list[_Fold]) -> tuple[str, str]:
    """The interval of the accuracy, and a sentence on it, if there can be."""
    files = [fold.path / "predictions.csv" for fold in folds]
    if not all(file.is_file() for file in files):
        return "", ""
    names = tuple(folds[0].scores["per_class"])
    parts = [Predictions.read(file, names) for file in files]
    for fold, file, part in zip(folds, files, parts, strict=True):
        right = (part.labels == part.predicted).mean()
        if sorted(part.paths) != sorted(fold.tested["path"]) or not np.isclose(
            right, fold.scores["accuracy"]
        ):
            raise UserError(
                "predictions.csv in a run's folder is of the run's test part, "
                f"as its metrics.json is. {file} is not."
            )
    over, column = "images", "path"
    if folds[0].knows_people:
        over, column = "people", "subject"
    split = folds[0].split
    groups = dict(zip(split["path"], split[column], strict=True))
    drawn = f"{split[column].nunique():,}"
    interval = bootstrap_intervals(
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.predicted for part in parts]),
        len(names),
        np.array([groups[p] for part in parts for p in part.paths], object),
    )["accuracy"]
    return f" (95 % interval {markdown.percent_range(interval)})", (
        f"The interval says how far chance in the choice of {over} reaches: "
        f"{drawn} of them were drawn with repetition from these {drawn}, "
        f"{RESAMPLES:,} times, and the middle 95 % of the accuracies kept. It "
        "says nothing of training once more."
    )


def _notes(folds: list[_Fold]) -> list[str]:
    """What all runs tell of their split, then what single ones do."""
    counts = Counter(note for fold in folds for note in fold.metrics["notes"])
    return [
        *(note for note, count in counts.items() if count == len(folds)),
        *(
            f"Fold {fold.number}: {note}"
            for fold in folds
            for note in fold.metrics["notes"]
            if counts[note] < len(folds)
        ),
    ]


def _read(runs: list[Path]) -> list[_Fold]:
    """The folds in their order, checked to be those of one whole."""
    folds = sorted(map(_read_one, runs), key=lambda fold: fold.number)
    rule = "A cross-validation has the runs of all its folds, each once"
    if not folds:
        raise UserError(f"{rule}. Received none.")
    first = folds[0]
    numbers = [fold.number for fold in folds]
    if numbers != list(range(1, first.count + 1)):
        raise UserError(
            f"{rule}: 1 to {first.count}. Received: "
            f"{', '.join(map(str, numbers))}."
        )
    shared = dataclasses.replace(first.config, split=None)
    for fold in folds:
        if dataclasses.replace(fold.config, split=None) != shared or (
            fold.count != first.count
        ):
            raise UserError(
                f"{rule}, with the same settings. Those in {fold.path} are "
                f"other than those in {first.path}."
            )
    tested = pd.concat([fold.tested["path"] for fold in folds])
    if sorted(tested) != sorted(first.split["path"]):
        raise UserError(
            f"{rule}; together they test every image once. Received: "
            f"{len(tested):,} test images, {tested.nunique():,} different "
            f"ones, of {len(first.split):,}."
        )
    return folds


def _read_one(path: Path) -> _Fold:
    run = Run.open(path)
    config = run.config
    fold = parse_fold(config.split or "")
    if fold is None:
        raise ConfigError(
            "A fold's run has `split` fold-K-of-N. That in "
            f"{path} has {config.split or 'none'}."
        )
    try:
        metrics = read_json(run.path / "metrics.json")
        split = read_table(run.path / "split.csv")
        found = _Fold(Path(path), config, *fold, metrics, split)
        # What a run that was damaged may lack.
        _table([found])
        np.array(found.scores["confusion"], int)
        (*found.metrics["notes"], *found.scores["per_class"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            "A cross-validation is of runs that are over, with the "
            f"metrics.json and split.csv that `kerafer train` wrote.\n{path} "
            f"is none ({type(error).__name__}: {error})."
        ) from None
    return found
