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
from kerafer.evaluation.comparison import Comparison
from kerafer.evaluation.plots import (
    plot_confusion,
    plot_mistakes,
    plot_reliability,
)
from kerafer.evaluation.predictions import Predictions
from kerafer.evaluation.report import scores_section
from kerafer.evaluation.scores import Scores
from kerafer.figures import FIGURE_FORMATS
from kerafer.files import output_folder, write_text
from kerafer.tables import write_table
from kerafer.versions import versions

# All files that `Evaluation.write` may write.
FILES = (
    *("report.md", "metrics.json", "predictions.csv", "comparison.json"),
    *("confusion.csv", "confusion_percent.csv"),
    *(
        f"{name}.{kind}"
        for name in ("confusion", "reliability", "mistakes")
        for kind in FIGURE_FORMATS
    ),
)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The predictions and scores of a model on images of a data set.

    Args:
        model: Name of the model.
        model_file: Its file; `None` for a model in memory.
        sha256: Digest of that file; `None` for a model in memory.
        input_shape: Height, width and channels of its input.
        dataset: Name of the data set.
        source: Where its images came from.
        licence: The terms they come under.
        split: How it was divided: `paper`, `subject`, `given` or a file.
        subset: `"train"`, `"validation"`, `"test"` or `"all"`.
        predictions: For every image of the subset.
        scores: As from `kerafer.evaluation.score`.
        split_notes: What one should know of the split.
        own_notes: What makes these scores doubtful.
        mistakes: As from `surest_mistakes`.
        mistake_images: uint8 images of their rows.
        tta: Whether predictions are averaged with those of mirrored images.
        against: Name of the model that was compared with. Default: none.
        comparison: As from `compare`. Default: none.
        command: The command that repeats the evaluation, if there is one.
    """

    model: str
    model_file: str | None
    sha256: str | None
    input_shape: tuple[int, int, int]
    dataset: str
    source: str
    licence: str
    split: str
    subset: str
    predictions: Predictions
    scores: Scores
    split_notes: tuple[str, ...]
    own_notes: tuple[str, ...]
    mistakes: pd.DataFrame
    mistake_images: np.ndarray
    tta: bool = False
    against: str | None = None
    comparison: Comparison | None = None
    command: str | None = None

    def __repr__(self) -> str:
        return (
            f"Evaluation({self.shown_name!r} on "
            f"{len(self.predictions.labels):,} images of {self.dataset!r}, "
            f"accuracy {self.accuracy:.3f})"
        )

    @property
    def accuracy(self) -> float:
        """Fraction of the images that are recognised."""
        return self.scores.classification.accuracy

    @property
    def shown_name(self) -> str:
        """The model's name, with `mirrored images` after `tta`."""
        return with_tta(self.model, self.tta)

    @property
    def folder_name(self) -> str:
        """A name for the folder of the results."""
        words = (self.model, self.dataset, self.subset, *["tta"] * self.tta)
        return "-".join(words)

    @property
    def notes(self) -> tuple[str, ...]:
        """All that one should know of these scores."""
        return self.split_notes + self.own_notes

    @property
    def verdict(self) -> str | None:
        """Which model is better, in a sentence; `None` for one model."""
        if self.comparison is None:
            return None
        return self.comparison.verdict(*self._names, self.scores.over)

    @property
    def _names(self) -> tuple[str, str]:
        against = self.against or ""
        if against == self.shown_name:
            against += " (against)"
        return self.shown_name, against

    def rows(self) -> list[tuple[str, str, str]]:
        """Name, value and interval of every score, as text."""
        found, intervals = self.scores.classification, self.scores.intervals
        rows = [
            (
                "accuracy",
                f"{found.accuracy:.1%}",
                markdown.percent_range(intervals["accuracy"]),
            ),
            (
                "macro F1",
                f"{found.macro['f1']:.3f}",
                markdown.decimal_range(intervals["macro_f1"]),
            ),
            (
                "balanced accuracy",
                f"{found.balanced_accuracy:.1%}",
                markdown.percent_range(intervals["balanced_accuracy"]),
            ),
            ("macro precision", f"{found.macro['precision']:.3f}", ""),
            ("macro recall", f"{found.macro['recall']:.3f}", ""),
            ("top-2 accuracy", f"{found.top_2:.1%}", ""),
            ("log loss", f"{found.log_loss:.4f}", ""),
            (
                "expected calibration error",
                f"{self.scores.calibration_error:.1%}",
                "",
            ),
        ]
        if (votes := self.scores.votes) is not None:
            value = f"{votes.divergence:.3f}"
            rows.append(("Jensen-Shannon divergence to votes", value, ""))
            if votes.agreed:
                of = f"{votes.agreed:,} of {votes.n_images:,} images"
                rows += [
                    ("accuracy (majority)", f"{votes.accuracy:.1%}", of),
                    ("macro F1 (majority)", f"{votes.macro_f1:.3f}", of),
                ]
        return rows

    def as_dict(self) -> dict[str, Any]:
        """All scores and their context, for a JSON file."""
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
            "subset": self.subset,
            "split": self.split,
            "split_digest": self.predictions.digest,
            "tta": self.tta,
            "notes": list(self.notes),
            **scores.classification.as_dict(),
            "expected_calibration_error": scores.calibration_error,
            **({"votes": scores.votes.as_dict()} if scores.votes else {}),
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
            ConfigError: If the folder contains something else.
        """
        out = check_folder(folder, force)
        out.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (out / name).unlink(missing_ok=True)
        self.predictions.write(out / "predictions.csv")
        self._write_confusion(out)
        self._draw(out)
        if self.comparison:
            names = dict(zip(("model", "against"), self._names, strict=True))
            facts = names | self.comparison.as_dict()
            _write_json(out / "comparison.json", facts)
        write_text(out / "report.md", self._report())
        _write_json(out / "metrics.json", self.as_dict())
        return tuple(out / name for name in self.files(out))

    @staticmethod
    def files(folder: Path) -> list[str]:
        """The names of the files that `write` left in a folder."""
        return [name for name in FILES if (folder / name).exists()]

    def _report(self) -> str:
        scores = self.scores.as_dict()
        first, second = self._names
        votes, found = self.scores.votes, self.comparison
        n_images = len(self.predictions.labels)
        return markdown.render(
            "evaluation/templates/evaluation.md.j2",
            evaluation=self,
            scores=scores,
            # The section has the scores' own notes.
            notes=[note for note in self.notes if note not in scores["notes"]],
            first=first,
            second=second,
            comparison=found,
            verdict=self.verdict,
            over=self.scores.over,
            repeated=self.scores.over == "people"
            and self.scores.groups < n_images
            and found is not None
            and found.only_first + found.only_second > 0,
            section=scores_section(scores, self.rows()[2:]),
            votes=votes,
            vote_rows=[
                (name, f"{value:.3f}")
                for name, value in (votes.per_class if votes else {}).items()
                if value is not None
            ],
            mistakes=self._mistakes() if len(self.mistakes) else None,
            named=self._facts(),
        )

    def _facts(self) -> dict[str, str]:
        machine, backend = versions(), backend_name()
        size, _, channels = self.input_shape
        return {
            "model": f"`{self.model_file or self.model}`",
            "images": f"{len(self.predictions.labels):,}, {size} x {size}, "
            f"{'colour' if channels == 3 else 'gray'}",
            "split": f"{self.split}, subset {self.subset}, digest "
            f"{self.predictions.digest[:12]}",
            "data": self.source,
            "terms of the data": self.licence,
            "versions": f"kerafer {machine['kerafer']}, {backend} "
            f"{machine.get(backend, '')}, scikit-learn "
            f"{machine['scikit-learn']}",
        }

    def _mistakes(self) -> str:
        predictions = self.predictions
        count = int((predictions.predicted != predictions.labels).sum())
        shown = len(self.mistakes)
        if count == shown:
            return f"All {count} mistakes" if count > 1 else "The only mistake"
        return f"The {shown} most confident of {count:,} mistakes"

    def _write_confusion(self, out: Path) -> None:
        names = list(self.predictions.class_names)
        counts = self.scores.classification.confusion
        sums = counts.sum(axis=1, keepdims=True)
        # The row of a class without images stays empty.
        percent = np.where(sums > 0, 100 * counts / np.maximum(sums, 1), np.nan)
        for file, values in (
            ("confusion.csv", counts),
            ("confusion_percent.csv", percent.round(2)),
        ):
            table = pd.DataFrame(values, columns=names)
            table.insert(0, "true \\ predicted", names)
            write_table(out / file, table)

    def _draw(self, out: Path) -> None:
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
                f"predicted: {names[one.predicted]}, {one.probability:.0%}",
                _shortened(self.predictions.paths[one.row]),
            )
            for one in self.mistakes.itertuples()
        ]
        title = (
            f"{self._mistakes()} on {len(self.predictions.labels):,} images "
            "(with the predicted probability)"
        )
        plot_mistakes(
            list(self.mistake_images), captions, title, out / "mistakes.png"
        )


def with_tta(model: str, tta: bool) -> str:
    """A model's name, with `mirrored images` after `tta`."""
    return f"{model} with mirrored images" if tta else model


def check_folder(folder: str | os.PathLike[str], force: bool = False) -> Path:
    """Refuse a folder for results before the work begins.

    Args:
        folder: New or empty.
        force: Whether it may contain an earlier evaluation.

    Raises:
        ConfigError: If it contains anything else.
        UserError: If it cannot be written.
    """
    out = output_folder(folder)
    there = sorted(path.name for path in out.iterdir()) if out.exists() else []
    strange = [name for name in there if name not in FILES]
    if strange or (there and "predictions.csv" not in there):
        raise ConfigError(
            f"`out` contains other files: {out / (strange or there)[0]}. It "
            "must be new, empty, or an earlier evaluation with `force`."
        )
    if there and not force:
        raise ConfigError(
            f"`out` contains an evaluation: {out}. Use `force` to replace it, "
            "or another `out`."
        )
    return out


def _write_json(file: Path, values: dict[str, Any]) -> None:
    write_text(file, json.dumps(values, indent=2) + "\n")


def _shortened(path: str, most: int = 34) -> str:
    path = path.encode("utf-8", "replace").decode("utf-8")
    return path if len(path) <= most else f"…{path[-most + 1 :]}"
