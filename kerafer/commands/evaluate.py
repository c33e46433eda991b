"""`kerafer evaluate`: scores with intervals, of one model or of two."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from rich.table import Table

from kerafer.class_names import column_order
from kerafer.console import console, track
from kerafer.data.config import DataConfig
from kerafer.engine import backend_name, load_backend
from kerafer.errors import UserError
from kerafer.files import digest, output_folder
from kerafer.foreign import read_json
from kerafer.quiet import stderr_held_back
from kerafer.runtime.labels import find_labels
from kerafer.runtime.predictors import Predictor, find_model, open_predictor
from kerafer.settings import add_flags, as_flags, checked
from kerafer.training.run_folder import RunFolder

if TYPE_CHECKING:
    from kerafer.evaluation import Comparison, Predictions
    from kerafer.evaluation.evaluation_report import Scores
    from kerafer.evaluation.votes import VoteScores
    from kerafer.workflows.pictures import Pictures

PARTS = ("test", "validation", "train", "all")
FILES = (
    "predictions.csv",
    "metrics.json",
    "confusion.csv",
    "confusion_percent.csv",
    "confusion.png",
    "reliability.png",
    "mistakes.png",
    "comparison.json",
    "report.md",
)
_BATCH = 32
# Flags after which the pictures are no longer divided as in the run.
_DIVIDING = ("split", "seed", "angles", "people", "subject_pattern")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    kinds = (
        "a .keras or .tflite file, a SavedModel's folder, or the folder of a "
        "run or an export"
    )
    parser.add_argument(
        "--model",
        metavar="PATH",
        required=True,
        help=f"{kinds}; a run brings its data set and split along, any other "
        "needs --dataset",
    )
    parser.add_argument(
        "--against",
        metavar="PATH",
        help="a second model, or the folder of an earlier evaluation of the "
        "same pictures",
    )
    parser.add_argument(
        "--part",
        choices=PARTS,
        default="test",
        help="which pictures of the split (default: test)",
    )
    parser.add_argument(
        "--labels",
        metavar="WORD,WORD",
        help="class names in the order of the outputs, for a model without "
        "them",
    )
    parser.add_argument(
        "--flips",
        action="store_true",
        help="take the mean of each picture's probabilities and those of its "
        "mirror image, for --against too unless it is an evaluation",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder of the results (default: "
        "evaluations/<model>-<dataset>-<part>, and -flips with --flips)",
    )
    add_flags(parser, DataConfig)


def run(parsed: argparse.Namespace) -> int:
    """Predict, score, compare, write and show."""
    file = find_model(parsed.model)
    other = _other(parsed.against)
    config, split_file = _data(file, parsed)
    name = _name(file)
    words = (name, config.dataset, parsed.part, *["flips"] * parsed.flips)
    out = output_folder(parsed.out, Path("evaluations", "-".join(words)))
    _check_out(out, other)
    # Backends take seconds to import; mistakes above come without it.
    load_backend()
    first = _open(file, name, parsed.labels)
    config = _sized(config, first, parsed)
    second = None
    if other is not None and not _is_evaluation(other):
        second = _open(other, _name(other), parsed.labels)
    part = _find_part(config, split_file, parsed)
    for model in filter(None, (first, second)):
        part.check_classes(model)
    earlier = None
    if other is not None and second is None:
        earlier = _read_earlier(other, part)
    evaluation = _evaluate(first, part)
    against = None
    if second is not None:
        against = _Against(
            _told_name(second.name, part.flips), part.predict(second)
        )
    elif earlier is not None:
        against = earlier
    notes = [*part.pictures.notes, *evaluation.scores.notes()]
    if part.flips:
        notes.append(_FLIPS)
    for model in filter(None, (first, second)):
        notes += _trained_on(model, part)
    if not _has_run(file) and not (config.split or "").endswith(".csv"):
        notes.append(_UNKNOWN_TRAINING.format(name))
    _write(evaluation, against, tuple(notes), out, parsed)
    return 0


_FLIPS = (
    "The scores are with mirrored pictures: the probabilities of a picture "
    "and of its mirror image are averaged, which takes twice the time."
)
_UNKNOWN_TRAINING = (
    "The pictures were divided anew here. Whether {} was trained on some of "
    "them can't be told from its file; --split with the split.csv of its run "
    "takes those that it was not."
)


# === What was asked for ===


class _Model(NamedTuple):
    """A model that is loaded."""

    name: str
    file: Path
    predictor: Predictor
    class_names: tuple[str, ...]


def _other(path: str | None) -> Path | None:
    """The model or the evaluation's folder that is compared with."""
    if path is None:
        return None
    folder = Path(path)
    if folder.name == "metrics.json" and folder.is_file():
        folder = folder.parent
        if not _is_evaluation(folder):
            raise UserError(
                "An earlier evaluation is a folder with predictions.csv "
                f"beside metrics.json. There is none in {folder}."
            )
    return folder if _is_evaluation(folder) else find_model(folder)


def _is_evaluation(folder: Path) -> bool:
    # A run's folder has the predictions of its test part too.
    is_run = RunFolder(folder).config.is_file()
    return (folder / "predictions.csv").is_file() and not is_run


def _name(file: Path) -> str:
    """A run's name, or an exported file's with that of its folder."""
    file = file.resolve()
    if file.name == "best.keras":
        return file.parent.name
    if (file.parent / "manifest.json").is_file():
        return f"{file.parent.name}-{file.stem}"
    return file.stem


def _has_run(file: Path) -> bool:
    """Whether a model lies in the folder of its run."""
    return file.name == "best.keras" and RunFolder(file.parent).config.is_file()


def _data(
    file: Path, parsed: argparse.Namespace
) -> tuple[DataConfig, Path | None]:
    """The data settings, and the split to read back, if it is the run's."""
    names = [field.name for field in dataclasses.fields(DataConfig)]
    given = {k: v for k, v in vars(parsed).items() if k in names}
    if not _has_run(file):
        if "dataset" not in given:
            raise UserError(
                "A model outside the folder of its run does not say which "
                f"pictures test it. Name them for {file}: --dataset WORD and, "
                "where its run is at hand, --split RUN/split.csv."
            )
        return checked(DataConfig, given), None
    folder, training = RunFolder.open(file.parent)
    kept = {name: getattr(training, name) for name in names}
    if given.get("dataset", training.dataset) != training.dataset:
        sizes = ("image_size", "channels", "face_crop", "without_face")
        kept = {name: kept[name] for name in sizes}
    config = checked(DataConfig, kept | given)
    same = config.dataset == training.dataset
    divided = same and not any(flag in given for flag in _DIVIDING)
    return config, folder.split if divided and folder.split.is_file() else None


def _check_out(out: Path, other: Path | None) -> None:
    rule = "--out is a new or empty folder, or one of an earlier evaluation."
    if not out.exists():
        return
    there = sorted(path.name for path in out.iterdir())
    strange = [name for name in there if name not in FILES]
    if not there or (not strange and _is_evaluation(out)):
        if other is not None and out.resolve() == other.resolve():
            raise UserError(
                "--against is an evaluation that is kept. It would be "
                f"replaced: {out} is --out too."
            )
        return
    raise UserError(f"{rule} There is {(strange or there)[0]} in {out}.")


def _open(file: Path, name: str, labels: str | None) -> _Model:
    names = labels and [word.strip() for word in labels.split(",")]
    # LiteRT tells of its delegate.
    with stderr_held_back():
        predictor = open_predictor(file)
    height, width, _ = predictor.input_shape
    if height != width:
        raise UserError(
            "The pictures of a data set are decoded to squares. The model "
            f"{file} takes {height} x {width}."
        )
    return _Model(
        name, file, predictor, find_labels(file, predictor.classes, names)
    )


def _sized(
    config: DataConfig, model: _Model, parsed: argparse.Namespace
) -> DataConfig:
    """The settings with the model's picture size."""
    size, _, channels = model.predictor.input_shape
    sizes = {"image_size": size, "channels": channels}
    for key, value in sizes.items():
        if getattr(parsed, key, value) != value:
            raise UserError(
                f"--{key.replace('_', '-')} is what the model takes, and can "
                f"be left out. {model.file} takes {value}. Received: "
                f"{getattr(parsed, key)}."
            )
    return dataclasses.replace(config, **sizes)


# === The pictures ===


class _Part(NamedTuple):
    """The pictures that are asked for."""

    name: str
    config: DataConfig
    pictures: Pictures
    rows: np.ndarray
    flips: bool

    @property
    def paths(self) -> np.ndarray:
        """Of the pictures, as in the manifest."""
        paths = self.pictures.dataset.manifest["path"]
        return paths.to_numpy(object)[self.rows]

    @property
    def labels(self) -> np.ndarray:
        """Class index of the pictures."""
        return self.pictures.dataset.labels[self.rows]

    @property
    def subjects(self) -> np.ndarray | None:
        """Who is on the pictures, where that is known."""
        dataset = self.pictures.dataset
        if not dataset.has_subjects:
            return None
        return dataset.manifest["subject"].to_numpy(object)[self.rows]

    def images(self, model: _Model) -> np.ndarray:
        """All pictures of the data set as a model takes them."""
        size, _, channels = model.predictor.input_shape
        config = dataclasses.replace(
            self.config, image_size=size, channels=channels
        )
        return self.pictures.decode(config)

    def check_classes(self, model: _Model) -> None:
        """Refuse a model of other classes."""
        column_order(model.class_names, self.pictures.dataset.class_names)

    def predict(self, model: _Model) -> Predictions:
        """A model's answers on the pictures."""
        from kerafer.evaluation.predictions import (
            Predictions,
            checked_probabilities,
            with_flips,
        )

        answer = model.predictor.run
        if self.flips:
            answer = functools.partial(with_flips, answer)
        images, names = self.images(model), self.pictures.dataset.class_names
        steps = range(0, len(self.rows), _BATCH)
        batches = (
            answer(images[self.rows[step : step + _BATCH]]) for step in steps
        )
        answers = list(
            track(batches, f"Batches through {model.name}", len(steps))
        )
        probabilities = checked_probabilities(
            np.concatenate(answers), str(model.file)
        )
        return Predictions(
            self.paths,
            self.labels,
            probabilities[:, column_order(model.class_names, names)],
            tuple(names),
            self.subjects,
            self.flips,
        )


def _find_part(
    config: DataConfig, split_file: Path | None, parsed: argparse.Namespace
) -> _Part:
    from kerafer.workflows.pictures import find_pictures

    try:
        pictures = find_pictures(config, split_file)
    except UserError as error:
        if split_file is None or str(split_file) not in str(error):
            raise
        raise UserError(
            f"{error}\nThat is the run's own split. For other pictures than "
            "the run's, --split paper, subject or given divides them."
        ) from None
    parts = pictures.split.to_numpy()
    rows = np.arange(len(parts))
    if parsed.part != "all":
        rows = rows[parts == parsed.part]
    if not len(rows):
        there = ", ".join(sorted(set(parts)))
        raise UserError(
            "--part names a part of the split with pictures. Received: "
            f"{parsed.part}; there are pictures in {there}."
        )
    return _Part(parsed.part, config, pictures, rows, parsed.flips)


def _trained_on(model: _Model, part: _Part) -> list[str]:
    """A warning where a run saw pictures of the part in its training."""
    from kerafer.tables import read_table

    folder = RunFolder(model.file.parent)
    if not _has_run(model.file) or not folder.split.is_file():
        return []
    _, training = RunFolder.open(folder.path)
    if training.dataset != part.config.dataset:
        return []
    table = read_table(folder.split)
    trained = set(table["path"][table["split"] == "train"])
    seen = sum(path in trained for path in part.paths)
    if not seen:
        return []
    return [
        f"{model.name} was trained on {seen:,} of these {len(part.rows):,} "
        "pictures: its scores are not those of new ones."
    ]


# === Scores ===


class _Evaluation(NamedTuple):
    """A model's answers with all scores."""

    model: _Model
    part: _Part
    predictions: Predictions
    scores: Scores


class _Against(NamedTuple):
    """What is compared with."""

    name: str
    predictions: Predictions


def _evaluate(model: _Model, part: _Part) -> _Evaluation:
    from kerafer.evaluation import (
        bootstrap_intervals,
        classify,
        expected_calibration_error,
        reliability,
    )
    from kerafer.evaluation.evaluation_report import Scores

    predictions = part.predict(model)
    labels, probabilities = predictions.labels, predictions.probabilities
    groups = _groups(part)
    scores = Scores(
        classify(labels, probabilities, predictions.class_names),
        expected_calibration_error(labels, probabilities),
        reliability(labels, probabilities),
        bootstrap_intervals(
            labels,
            predictions.predicted,
            len(predictions.class_names),
            groups,
        ),
        len(labels) if groups is None else len(set(groups)),
        "pictures" if groups is None else "people",
        _score_votes(model, part, predictions),
    )
    return _Evaluation(model, part, predictions, scores)


def _score_votes(
    model: _Model, part: _Part, predictions: Predictions
) -> VoteScores | None:
    from kerafer.evaluation.votes import score_votes
    from kerafer.runtime.votes import find_vote_temperature

    dataset = part.pictures.dataset
    if not dataset.has_shares:
        return None
    return score_votes(
        dataset.targets[part.rows],
        dataset.majority[part.rows],
        predictions.labels,
        predictions.probabilities,
        predictions.class_names,
        find_vote_temperature(model.file) or 1.0,
    )


def _groups(part: _Part) -> np.ndarray | None:
    """People to draw, where there are at least two."""
    subjects = part.subjects
    if subjects is None or len(set(subjects)) < 2:
        return None
    return subjects


def _read_earlier(folder: Path, part: _Part) -> _Against:
    from kerafer.evaluation.predictions import Predictions, split_digest

    file = folder / "metrics.json"
    try:
        metrics = read_json(file)
        digest, name = metrics["split_digest"], metrics["model"]["name"]
        theirs = (
            f"{metrics['n']} pictures, {metrics['part']} of "
            f"{metrics['dataset']}, split {metrics['split']}"
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            "An earlier evaluation has the metrics.json that `kerafer "
            f"evaluate` wrote. {file} is none ({type(error).__name__}: "
            f"{error})."
        ) from None
    dataset = part.pictures.dataset
    names = np.array(dataset.class_names, object)
    if digest != split_digest(part.paths, names[part.labels]):
        raise UserError(
            "Two models are compared on the same pictures.\n"
            f"Here: {len(part.rows)} pictures, {part.name} of "
            f"{dataset.name}, split {part.pictures.split_name}.\n"
            f"In {folder}: {theirs}."
        )
    predictions = Predictions.read(
        folder / "predictions.csv", tuple(dataset.class_names)
    )
    if predictions.digest != digest:
        raise UserError(
            "predictions.csv and metrics.json are of the same evaluation. "
            f"Those in {folder} are not; evaluate that model again."
        )
    return _Against(
        _told_name(name, predictions.flips), predictions.in_order(part.paths)
    )


# === What is written ===


def _write(
    evaluation: _Evaluation,
    against: _Against | None,
    notes: tuple[str, ...],
    out: Path,
    parsed: argparse.Namespace,
) -> None:
    from kerafer.evaluation import compare
    from kerafer.evaluation.evaluation_report import verdict
    from kerafer.files import write_text

    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (out / name).unlink(missing_ok=True)
    model, part, predictions, scores = evaluation
    predictions.write(out / "predictions.csv")
    _write_confusion(evaluation, out)
    shown = _draw(evaluation, out)
    name = _told_name(model.name, part.flips)
    comparison, names = None, (name, against.name if against else "")
    if names[0] == names[1]:
        names = (names[0], f"{names[1]} (--against)")
    if against:
        comparison = compare(
            predictions.labels,
            predictions.predicted,
            against.predictions.predicted,
            _groups(part),
        )
        facts = {"model": names[0], "against": names[1]}
        _write_json(out / "comparison.json", facts | comparison.as_dict())
    report = _report(
        evaluation, comparison, names, notes, shown, _command(parsed)
    )
    write_text(out / "report.md", report)
    _write_json(out / "metrics.json", _metrics(evaluation, notes))
    _show(evaluation, notes[len(part.pictures.notes) :])
    if comparison:
        console.print(
            f"{verdict(*names, comparison, scores.over)} {_told(comparison)}",
            soft_wrap=True,
        )
    written = ", ".join(name for name in FILES if (out / name).exists())
    console.print(f"Written to {out}: {written}", soft_wrap=True)


def _told_name(name: str, flips: bool) -> str:
    """A model's name, with what was done to its answers."""
    from kerafer.evaluation.predictions import WITH_FLIPS

    return f"{name} {WITH_FLIPS}" if flips else name


def _write_json(file: Path, values: dict[str, Any]) -> None:
    from kerafer.files import write_text

    write_text(file, json.dumps(values, indent=2) + "\n")


def _write_confusion(evaluation: _Evaluation, out: Path) -> None:
    import pandas as pd

    from kerafer.files import written_beside

    names = list(evaluation.predictions.class_names)
    counts = evaluation.scores.classification.confusion
    sums = counts.sum(axis=1, keepdims=True)
    # The row of a class without pictures stays empty.
    percent = np.where(sums > 0, 100 * counts / np.maximum(sums, 1), np.nan)
    for name, values in (
        ("confusion.csv", counts),
        ("confusion_percent.csv", percent.round(2)),
    ):
        table = pd.DataFrame(values, index=names, columns=names)
        with written_beside(out / name) as beside:
            table.to_csv(
                beside, index_label="true \\ predicted", lineterminator="\n"
            )


def _draw(evaluation: _Evaluation, out: Path) -> int:
    """Draw all; how many mistakes were drawn."""
    from kerafer.evaluation import surest_mistakes
    from kerafer.evaluation.evaluation_report import which_mistakes
    from kerafer.evaluation.plots import (
        plot_confusion,
        plot_mistakes,
        plot_reliability,
    )

    model, part, predictions, scores = evaluation
    names = predictions.class_names
    confusion = scores.classification.confusion
    plot_confusion(confusion, names, out / "confusion.png")
    plot_reliability(
        scores.bins, scores.calibration_error, out / "reliability.png"
    )
    mistakes = surest_mistakes(predictions.labels, predictions.probabilities)
    if mistakes.empty:
        return 0
    images = part.images(model)
    rows = mistakes["row"].to_numpy()
    captions = [
        (
            f"true: {names[one.label]}",
            f"taken for {names[one.predicted]}, {one.probability:.0%}",
            _shortened(part.paths[one.row]),
        )
        for one in mistakes.itertuples()
    ]
    total = int((predictions.predicted != predictions.labels).sum())
    title = (
        f"{which_mistakes(total, len(rows))} on {len(predictions.labels):,} "
        "pictures (percent: how sure it was)"
    )
    plot_mistakes(
        images[part.rows[rows]],
        captions,
        title,
        out / "mistakes.png",
    )
    return len(mistakes)


def _shortened(path: str, most: int = 34) -> str:
    path = path.encode("utf-8", "replace").decode("utf-8")
    return path if len(path) <= most else f"…{path[-most + 1 :]}"


def _report(
    evaluation: _Evaluation,
    comparison: Comparison | None,
    names: tuple[str, str],
    notes: tuple[str, ...],
    shown: int,
    command: str,
) -> str:
    from kerafer.evaluation.evaluation_report import (
        comparison_section,
        evaluation_report,
    )
    from kerafer.versions import versions

    model, part, predictions, scores = evaluation
    dataset, machine = part.pictures.dataset, versions()
    count, groups = len(predictions.labels), _groups(part)
    size, _, channels = model.predictor.input_shape
    facts = {
        "model": f"`{model.file}`",
        "pictures": f"{count:,}, {size} x {size}, "
        f"{'colour' if channels == 3 else 'gray'}",
        "split": f"{part.pictures.split_name}, part {part.name}, digest "
        f"{predictions.digest[:12]}",
        "data": dataset.source,
        "terms of the data": dataset.licence,
        "versions": f"kerafer {machine['kerafer']}, {backend_name()} "
        f"{machine.get(backend_name(), '')}, scikit-learn "
        f"{machine['scikit-learn']}",
    }
    section = None
    if comparison:
        section = comparison_section(
            *names,
            comparison,
            scores.over,
            groups is not None and scores.groups < count,
        )
    return evaluation_report(
        f"{_told_name(model.name, part.flips)} on {dataset.name}",
        part.name,
        facts,
        scores,
        int((predictions.predicted != predictions.labels).sum()),
        shown,
        notes,
        section,
        command,
    )


def _metrics(evaluation: _Evaluation, notes: tuple[str, ...]) -> dict[str, Any]:
    from kerafer.evaluation.bootstrap import CONFIDENCE, RESAMPLES
    from kerafer.versions import versions

    model, part, predictions, scores = evaluation
    dataset = part.pictures.dataset
    return {
        "model": {
            "name": model.name,
            "path": os.fspath(model.file),
            "sha256": digest(model.file),
        },
        "dataset": dataset.name,
        "data": dataset.source,
        "licence": dataset.licence,
        "part": part.name,
        "split": part.pictures.split_name,
        "split_digest": predictions.digest,
        "flips": part.flips,
        "notes": list(notes),
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


def _command(parsed: argparse.Namespace) -> str:
    words = ["kerafer", "evaluate", "--model", parsed.model]
    for name in ("against", "labels", "out"):
        if getattr(parsed, name) is not None:
            words += [f"--{name}", getattr(parsed, name)]
    if parsed.part != "test":
        words += ["--part", parsed.part]
    if parsed.flips:
        words.append("--flips")
    names = [field.name for field in dataclasses.fields(DataConfig)]
    given = {k: v for k, v in vars(parsed).items() if k in names}
    words += as_flags(DataConfig(**given), always=tuple(given))
    return shlex.join(words)


def _show(evaluation: _Evaluation, notes: tuple[str, ...]) -> None:
    model, part, predictions, scores = evaluation
    kind = "" if part.name == "all" else f"{part.name} "
    table = Table(
        title=f"{_told_name(model.name, part.flips)} on "
        f"{len(predictions.labels):,} {kind}pictures of "
        f"{part.pictures.dataset.name}"
    )
    table.add_column("score")
    table.add_column("value", justify="right")
    table.add_column(f"95 % over {scores.groups:,} {scores.over}")
    for row in scores.rows():
        table.add_row(*row)
    console.print(table)
    for note in notes:
        console.print(note, soft_wrap=True)


def _told(comparison: Comparison) -> str:
    from kerafer.evaluation.evaluation_report import points

    return (
        f"Difference {points(comparison.difference)} points, 95 % interval "
        f"{points(comparison.interval.low)} to "
        f"{points(comparison.interval.high)}; McNemar "
        f"{comparison.only_first} : {comparison.only_second}, "
        f"p = {comparison.p_value:.2g}."
    )
