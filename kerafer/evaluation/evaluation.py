"""What comes out when a model is evaluated."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kerafer.errors import ConfigError
from kerafer.evaluation.bootstrap import CONFIDENCE, RESAMPLES
from kerafer.evaluation.comparison import Comparison
from kerafer.evaluation.predictions import WITH_FLIPS, Predictions
from kerafer.evaluation.scores import Scores
from kerafer.figures import FIGURE_FORMATS
from kerafer.files import output_folder, write_text, written_beside
from kerafer.versions import versions

# What `Evaluation.write` writes; from mistakes.png on where there is any.
FILES = (
    "predictions.csv",
    "metrics.json",
    "confusion.csv",
    "confusion_percent.csv",
    "confusion.png",
    "reliability.png",
    "report.md",
    "mistakes.png",
    "comparison.json",
    *(
        f"{name}.{kind}"
        for name in ("confusion", "reliability", "mistakes")
        for kind in FIGURE_FORMATS[1:]
    ),
)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A model's predictions on one part of a data set, and what they say.

    Args:
        model: Its name.
        model_file: Where it is; `None` for one in memory.
        sha256: Of that file; `None` likewise.
        input_shape: Height, width and channels of the images it takes.
        dataset: Name of the data set.
        source: Where its images came from.
        licence: The terms they come under.
        split: How it was divided: `paper`, `subject`, `given` or a file.
        part: `"train"`, `"validation"`, `"test"` or `"all"`.
        predictions: For every image of the part.
        scores: All that was measured, with intervals.
        split_notes: What one should know of the division, a sentence each.
        own_notes: What makes these scores doubtful, a sentence each.
        mistakes: As `surest_mistakes` gives them.
        mistake_images: uint8, of their rows.
        against: Name of the model that was compared with, if any.
        comparison: What came out of that.
        command: What does all this once more, if a command can.
    """

    model: str
    model_file: str | None
    sha256: str | None
    input_shape: tuple[int, int, int]
    dataset: str
    source: str
    licence: str
    split: str
    part: str
    predictions: Predictions
    scores: Scores
    split_notes: tuple[str, ...]
    own_notes: tuple[str, ...]
    mistakes: pd.DataFrame
    mistake_images: np.ndarray
    against: str | None = None
    comparison: Comparison | None = None
    command: str | None = None

    def __repr__(self) -> str:
        return (
            f"Evaluation({self.told_name!r} on {len(self.predictions.labels):,}"
            f" images of {self.dataset!r}, accuracy {self.accuracy:.3f})"
        )

    @property
    def accuracy(self) -> float:
        """The share of the images that are recognised, 0 to 1."""
        return self.scores.classification.accuracy

    @property
    def told_name(self) -> str:
        """The model's name, with what was done to its predictions."""
        return told_name(self.model, self.predictions.flips)

    @property
    def names(self) -> tuple[str, str]:
        """Of the model and of the one that it is compared with."""
        against = self.against or ""
        if against == self.told_name:
            against += " (against)"
        return self.told_name, against

    @property
    def notes(self) -> tuple[str, ...]:
        """All that one should know of these scores, a sentence each."""
        return self.split_notes + self.own_notes

    @property
    def mistake_count(self) -> int:
        """How many images are taken for another class."""
        predictions = self.predictions
        return int((predictions.predicted != predictions.labels).sum())

    def as_dict(self) -> dict[str, Any]:
        """All scores, and what they are of, for a JSON file."""
        scores = self.scores
        return {
            "model": {
                "name": self.model,
                "path": self.model_file,
                "sha256": self.sha256,
            },
            "dataset": self.dataset,
            "data": self.source,
            "licence": self.licence,
            "part": self.part,
            "split": self.split,
            "split_digest": self.predictions.digest,
            "flips": self.predictions.flips,
            "notes": list(self.notes),
            **scores.classification.as_dict(),
            "expected_calibration_error": scores.calibration_error,
            **({"votes": scores.votes.as_dict()} if scores.votes else {}),
            "reliability": json.loads(scores.bins.to_json(orient="records")),
            "intervals": {
                **{name: list(ends) for name, ends in scores.intervals.items()},
                "over": scores.over,
                "groups": scores.groups,
                "confidence": CONFIDENCE,
                "resamples": RESAMPLES,
            },
            "versions": versions(),
        }

    def write(
        self, folder: str | os.PathLike[str], force: bool = False
    ) -> tuple[Path, ...]:
        """Write report, images and tables.

        Args:
            folder: One that is new or empty.
            force: Whether an earlier evaluation in it is replaced. Defaults
                to `False`.

        Returns:
            The files.

        Raises:
            ConfigError: Where there is something else in it.
        """
        out = check_folder(folder, force)
        out.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (out / name).unlink(missing_ok=True)
        self.predictions.write(out / "predictions.csv")
        self._write_confusion(out)
        self._draw(out)
        if self.comparison:
            names = dict(zip(("model", "against"), self.names, strict=True))
            facts = names | self.comparison.as_dict()
            _write_json(out / "comparison.json", facts)
        from kerafer.evaluation.evaluation_report import evaluation_report

        write_text(out / "report.md", evaluation_report(self))
        _write_json(out / "metrics.json", self.as_dict())
        return tuple(out / name for name in FILES if (out / name).exists())

    def _write_confusion(self, out: Path) -> None:
        names = list(self.predictions.class_names)
        counts = self.scores.classification.confusion
        sums = counts.sum(axis=1, keepdims=True)
        # The row of a class without images stays empty.
        percent = np.where(sums > 0, 100 * counts / np.maximum(sums, 1), np.nan)
        for name, values in (
            ("confusion.csv", counts),
            ("confusion_percent.csv", percent.round(2)),
        ):
            table = pd.DataFrame(values, index=names, columns=names)
            with written_beside(out / name) as beside:
                table.to_csv(
                    beside,
                    index_label="true \\ predicted",
                    lineterminator="\n",
                )

    def _draw(self, out: Path) -> None:
        from kerafer.evaluation.evaluation_report import which_mistakes
        from kerafer.evaluation.plots import (
            plot_confusion,
            plot_mistakes,
            plot_reliability,
        )

        names, scores = self.predictions.class_names, self.scores
        confusion = scores.classification.confusion
        plot_confusion(confusion, names, out / "confusion.png")
        plot_reliability(
            scores.bins, scores.calibration_error, out / "reliability.png"
        )
        if self.mistakes.empty:
            return
        captions = [
            (
                f"true: {names[one.label]}",
                f"taken for {names[one.predicted]}, {one.probability:.0%}",
                _shortened(self.predictions.paths[one.row]),
            )
            for one in self.mistakes.itertuples()
        ]
        title = (
            f"{which_mistakes(self.mistake_count, len(captions))} on "
            f"{len(self.predictions.labels):,} images (percent: how sure "
            "it was)"
        )
        plot_mistakes(
            list(self.mistake_images), captions, title, out / "mistakes.png"
        )


def told_name(model: str, flips: bool) -> str:
    """A model's name, with what was done to its predictions."""
    return f"{model} {WITH_FLIPS}" if flips else model


def check_folder(folder: str | os.PathLike[str], force: bool = False) -> Path:
    """Refuse a folder that results would spoil, before the work is done.

    Args:
        folder: New or empty.
        force: Whether it may be that of an earlier evaluation.

    Raises:
        ConfigError: Where it is not.
        UserError: Where it can't be written.
    """
    out = output_folder(folder)
    there = sorted(path.name for path in out.iterdir()) if out.exists() else []
    if not there:
        return out
    strange = [name for name in there if name not in FILES]
    if strange or "predictions.csv" not in there:
        raise ConfigError(
            "`out` is a new or empty folder, or with `force` one of an earlier "
            f"evaluation. There is {(strange or there)[0]} in {out}."
        )
    if not force:
        raise ConfigError(
            f"There is an evaluation in {out} already. `force` replaces it; "
            "another `out` keeps it."
        )
    return out


def _write_json(file: Path, values: dict[str, Any]) -> None:
    write_text(file, json.dumps(values, indent=2) + "\n")


def _shortened(path: str, most: int = 34) -> str:
    path = path.encode("utf-8", "replace").decode("utf-8")
    return path if len(path) <= most else f"…{path[-most + 1 :]}"
