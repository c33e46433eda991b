"""The result of an evaluation, and its files."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kerafer import markdown
from kerafer.engine import backend_name
from kerafer.errors import ConfigError
from kerafer.evaluation.classification import surest_mistakes
from kerafer.evaluation.comparison import Comparison
from kerafer.evaluation.plots import (
    plot_confusion,
    plot_mistakes,
    plot_reliability,
)
from kerafer.evaluation.predictions import Predictions
from kerafer.evaluation.report import scores_section
from kerafer.evaluation.scores import Scores
from kerafer.files import keep_results, output_folder, write_text
from kerafer.markdown import decimal_range, percent, percent_range
from kerafer.tables import write_table
from kerafer.versions import versions

# All files that `Evaluation.write` may write.
FILES = (
    *("report.md", "metrics.json", "predictions.csv", "comparison.json"),
    *("confusion.csv", "confusion_percent.csv"),
    *("confusion.png", "reliability.png", "mistakes.png"),
)


@dataclasses.dataclass(frozen=True, repr=False)
class Evaluation:
    """The predictions and scores of a model on images of a data set.

    Args:
        facts: What was evaluated: `model` (`name`, `path` and `sha256`; the
            latter are `None` for a model in memory), `dataset`, `data` (where
            the images came from), `licence`, `subset`, `split` and `tta`.
        predictions: For every image of the subset.
        images: These images, uint8, as the model takes them.
        scores: As from `kerafer.evaluation.score`.
        notes: What makes these scores doubtful.
        against: Name of the model that was compared with. Default: none.
        comparison: As from `compare`. Default: none.
        command: The command that repeats the evaluation, if there is one.
    """

    facts: dict[str, Any]
    predictions: Predictions
    images: np.ndarray
    scores: Scores
    notes: tuple[str, ...]
    against: str | None = None
    comparison: Comparison | None = None
    command: str | None = None

    def __repr__(self) -> str:
        return (
            f"Evaluation({self.shown_name!r} on {len(self.images):,} images of "
            f"{self.facts['dataset']!r}, accuracy {self.accuracy:.3f})"
        )

    @property
    def accuracy(self) -> float:
        """Fraction of the images that are recognised."""
        return self.scores.classification.accuracy

    @property
    def shown_name(self) -> str:
        """The model's name, with `mirrored images` after `tta`."""
        return with_tta(self.facts["model"]["name"], self.facts["tta"])

    @property
    def folder_name(self) -> str:
        """A name for the folder of the results."""
        facts = self.facts
        words = (facts["model"]["name"], facts["dataset"], facts["subset"])
        return "-".join((*words, *["tta"] * facts["tta"]))

    @property
    def verdict(self) -> str | None:
        """Which model is better, in a sentence; `None` for one model."""
        if self.comparison is None:
            return None
        return self.comparison.verdict(*self._names, self.scores.over)

    @property
    def _names(self) -> tuple[str, str]:
        same = self.against == self.shown_name
        return self.shown_name, f"{self.against}{' (against)' * same}"

    def rows(self) -> list[tuple[str, str, str]]:
        """Name, value and interval of every score, as text."""
        found, ends = self.scores.classification, self.scores.intervals
        error = self.scores.calibration_error
        rows = [
            (
                "accuracy",
                percent(found.accuracy),
                percent_range(ends["accuracy"]),
            ),
            (
                "macro F1",
                f"{found.macro['f1']:.3f}",
                decimal_range(ends["macro_f1"]),
            ),
            (
                "balanced accuracy",
                percent(found.balanced_accuracy),
                percent_range(ends["balanced_accuracy"]),
            ),
            ("macro precision", f"{found.macro['precision']:.3f}", ""),
            ("macro recall", f"{found.macro['recall']:.3f}", ""),
            ("top-2 accuracy", percent(found.top_2), ""),
            ("log loss", f"{found.log_loss:.4f}", ""),
            ("expected calibration error", percent(error), ""),
        ]
        return rows + (self.scores.votes.rows() if self.scores.votes else [])

    def as_dict(self) -> dict[str, Any]:
        """All scores and their context, for a JSON file."""
        scores = self.scores
        return {
            **self.facts,
            "split_digest": self.predictions.digest,
            "notes": list(self.notes),
            **scores.classification.as_dict(),
            "expected_calibration_error": scores.calibration_error,
            **scores.answers(),
            "reliability": json.loads(scores.bins.to_json(orient="records")),
            "intervals": scores.interval_dict(),
            "versions": versions(),
        }

    def write(
        self, folder: str | os.PathLike[str], force: bool = False
    ) -> tuple[Path, ...]:
        """Write the report, figures and tables.

        Args:
            folder: A new or empty folder.
            force: Whether to replace an earlier evaluation. Default: `False`.

        Returns:
            The files.

        Raises:
            UserError: If the folder contains something else.
        """
        out = check_folder(folder, force)
        out.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (out / name).unlink(missing_ok=True)
        self.predictions.write(out / "predictions.csv")
        self._write_confusion(out)
        mistakes = self._write_figures(out)
        if self.comparison:
            names = dict(zip(("model", "against"), self._names, strict=True))
            facts = names | self.comparison.as_dict()
            _write_json(out / "comparison.json", facts)
        write_text(out / "report.md", self._report(mistakes))
        _write_json(out / "metrics.json", self.as_dict())
        return tuple(out / name for name in FILES if (out / name).exists())

    def _report(self, mistakes: str) -> str:
        scores = self.scores.as_dict()
        return markdown.render(
            "evaluation/templates/evaluation.md.j2",
            evaluation=self,
            facts_of=self.facts,
            scores=scores,
            # The section has the scores' own notes.
            notes=[note for note in self.notes if note not in scores["notes"]],
            names=self._names,
            section=scores_section(scores, self.rows()[2:]),
            mistakes=mistakes,
            size=self.images.shape[1],
            colour="gray" if self.images.shape[3] == 1 else "colour",
            digest=self.predictions.digest[:12],
            versions=versions(),
            backend=backend_name(),
        )

    def _write_confusion(self, out: Path) -> None:
        names = list(self.predictions.class_names)
        confusion = self.scores.classification.confusion
        counts = pd.DataFrame(confusion, columns=names)
        # The row of a class without images stays empty.
        sums = counts.sum(axis=1).replace(0, np.nan)
        percents = counts.mul(100).div(sums, axis=0).round(2)
        for name, table in (("", counts), ("_percent", percents)):
            table.insert(0, "true \\ predicted", names)
            write_table(out / f"confusion{name}.csv", table)

    def _write_figures(self, out: Path) -> str:
        """Draw all figures, and describe the mistakes that are shown."""
        found, scores = self.predictions, self.scores
        names = found.class_names
        confusion = scores.classification.confusion
        plot_confusion(confusion, names, out / "confusion.png")
        plot_reliability(
            scores.bins, scores.calibration_error, out / "reliability.png"
        )
        shown = surest_mistakes(found.labels, found.probabilities)
        if shown.empty:
            return ""
        count = int((found.predicted != found.labels).sum())
        title = f"The {len(shown)} most confident of {count:,} mistakes"
        captions = [
            (
                f"true: {names[one.label]}",
                f"predicted: {names[one.predicted]}, {one.probability:.0%}",
                _shortened(found.paths[one.row]),
            )
            for one in shown.itertuples()
        ]
        images = self.images[shown["row"].to_numpy()]
        plot_mistakes(list(images), captions, title, out / "mistakes.png")
        return title


def with_tta(model: str, tta: bool) -> str:
    """A model's name, with `mirrored images` after `tta`."""
    return f"{model} with mirrored images" if tta else model


def check_folder(folder: str | os.PathLike[str], force: bool = False) -> Path:
    """Refuse a folder for results before the work begins.

    Args:
        folder: New or empty.
        force: Whether it may contain an earlier evaluation.

    Raises:
        UserError: If it contains anything else, or cannot be written.
    """
    out = output_folder(folder)
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    if strange := sorted(there - set(FILES)):
        raise ConfigError(
            f"`out` contains other files: {out / strange[0]}. It must be new, "
            "empty, or an earlier evaluation with `force`."
        )
    keep_results([out / name for name in FILES], force)
    return out


def _write_json(file: Path, values: dict[str, Any]) -> None:
    write_text(file, json.dumps(values, indent=2) + "\n")


def _shortened(path: str, most: int = 34) -> str:
    path = path.encode("utf-8", "replace").decode("utf-8")
    return path if len(path) <= most else f"…{path[-most + 1 :]}"
