"""`kerafer.evaluate`: a model on labelled images, alone or against another."""

from __future__ import annotations

import dataclasses
import functools
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kerafer.class_names import column_order, match_classes
from kerafer.console import console, track
from kerafer.datasets.config import DataConfig
from kerafer.engine import load_backend
from kerafer.errors import ConfigError, UserError
from kerafer.inference import ModelBundle, ModelSource
from kerafer.settings import as_flags
from kerafer.training.run import Run

if TYPE_CHECKING:
    import keras

    from kerafer.evaluation.evaluation import Evaluation
    from kerafer.evaluation.predictions import Predictions
    from kerafer.evaluation.votes import VoteScores
    from kerafer.workflows.split_dataset import SplitDataset

SUBSETS = ("test", "validation", "train", "all")
_BATCH = 32
# Settings after which the images are no longer divided as in the run.
_DIVIDING = ("split", "seed", "angles", "subjects", "subject_pattern")
# How a model sees images, of whichever data set.
_AS_SEEN = ("image_size", "channels", "face_crop", "without_face")
_FIELDS = tuple(field.name for field in dataclasses.fields(DataConfig))


def evaluate(
    model: str | os.PathLike[str] | keras.Model,
    dataset: str | DataConfig | None = None,
    *,
    subset: str | None = None,
    against: str | os.PathLike[str] | keras.Model | Evaluation | None = None,
    labels: Sequence[str] | None = None,
    input_range: str | None = None,
    tta: bool = False,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    **settings: Any,
) -> Evaluation:
    """Score a model on labelled images, with 95 % intervals.

        found = kerafer.evaluate("runs/mine")
        print(found.accuracy, found.scores.intervals["accuracy"])
        other = kerafer.evaluate("runs/other", against=found)

    Args:
        model: A Keras model in memory; or a `.keras` or `.tflite` file, a
            SavedModel's folder, the folder of a run or an export, or the name
            of a model that the package brings along.
        dataset: Name of a data set, or all settings of one. Defaults to that
            of the run, with its split.
        subset: Which images of the split: `"test"`, `"validation"`, `"train"`
            or `"all"`. Defaults to `"test"` for a run on its own data set,
            and where `split` is given; else to `"all"`.
        against: A second model, or an `Evaluation` of the same images, to
            compare with. Default: none.
        labels: Class names in the order of the outputs, for a model without
            them.
        input_range: The values that the models take, if their files do not
            say: `"0..255"`, `"0..1"`, `"-1..1"` or mean/std.
        tta: Whether to average the probabilities of each image and of its
            mirror image, for `against` too unless that is an evaluation.
            Default: `False`.
        out: Folder to write report, figures and tables to. Defaults to
            writing nothing.
        force: Whether an earlier evaluation in `out` is replaced. Defaults to
            `False`.
        **settings: Fields of `DataConfig` over the run's, or over the
            defaults, such as `data_dir` and `split`.

    Raises:
        UserError: For a model or images that are not there, or not of each
            other.
    """
    if subset not in (None, *SUBSETS):
        raise ConfigError(
            f"Unknown `subset` {subset!r}. Choose one of {', '.join(SUBSETS)}."
        )
    given = _given(dataset, settings)
    asked = _Asked.of(model)
    config, split_file = _data(asked, given)
    subset = subset or _default_subset(asked, config, given)
    other = None if against is None else _other(against)
    if out is not None:
        from kerafer.evaluation.evaluation import check_folder

        check_folder(out, force)
    # Backends take seconds to import; mistakes above come without it.
    load_backend()
    first = asked.open(labels, input_range)
    second = None
    if isinstance(other, _Asked):
        second = other.open(labels, input_range)
    config = _sized(config, first, given)
    images = _find_subset(config, split_file, subset, tta)
    total = len(images.data.dataset)
    console.print(
        f"Evaluating {first.name} on {len(images.rows):,} of {total:,} images "
        f"({subset})."
    )
    images = images.with_classes(first.labels)
    for one in filter(None, (first, second)):
        column_order(one.labels, images.class_names)
    earlier = None
    if other is not None and not isinstance(other, _Asked):
        earlier = _earlier(other, images)
    decoded = images.decoded(first)
    predictions = images.predict(first, decoded)
    if second is not None:
        theirs = images.predict(second, images.decoded(second))
        name = f"{second.name} with mirrored images" if tta else second.name
        earlier = _Earlier(name, theirs)
    words = {
        "against": against,
        "labels": labels,
        "input-range": input_range,
        "out": out,
    }
    found = _score(
        first,
        second,
        images=images,
        decoded=decoded,
        predictions=predictions,
        earlier=earlier,
    )
    found = dataclasses.replace(
        found, command=_command(model, subset, tta, words, given)
    )
    if out is not None:
        found.write(out, force)
    return found


# === What was asked for ===


class _Asked(NamedTuple):
    """A model that is found, and not loaded yet."""

    model: ModelSource | keras.Model

    @classmethod
    def of(cls, model: str | os.PathLike[str] | keras.Model) -> _Asked:
        if not isinstance(model, (str, os.PathLike)) and hasattr(
            model, "predict_on_batch"
        ):
            return cls(model)
        return cls(ModelSource.find(model))

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def file(self) -> Path | None:
        return getattr(self.model, "file", None)

    @property
    def run(self) -> Path | None:
        """The folder of the run that it lies in."""
        return getattr(self.model, "run", None)

    def open(
        self, labels: Sequence[str] | None, input_range: str | None
    ) -> ModelBundle:
        bundle = ModelBundle.load(
            self.model, labels=labels, input_range=input_range
        )
        height, width, _ = bundle.input_shape
        if height != width:
            raise UserError(
                "The images of a data set are decoded to squares. The model "
                f"{self.file or self.name} takes {height} x {width}."
            )
        return bundle


def _other(
    against: str | os.PathLike[str] | keras.Model | Evaluation,
) -> _Asked | Evaluation:
    """The model or the evaluation that is compared with."""
    if isinstance(against, (str, os.PathLike)):
        return _Asked.of(against)
    return against if hasattr(against, "predictions") else _Asked.of(against)


def _given(
    dataset: str | DataConfig | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The data settings that were named, by name."""
    unknown = [name for name in settings if name not in _FIELDS]
    if unknown:
        raise TypeError(f"evaluate() has no argument {unknown[0]!r}")
    if dataset is None:
        return dict(settings)
    if not isinstance(dataset, DataConfig):
        return {"dataset": dataset, **settings}
    own = {
        field.name: getattr(dataset, field.name)
        for field in dataclasses.fields(DataConfig)
        if getattr(dataset, field.name) != field.default
    }
    return {"dataset": dataset.dataset, **own, **settings}


def _data(
    asked: _Asked, given: Mapping[str, Any]
) -> tuple[DataConfig, Path | None]:
    """The data settings, and the split to read back, if it is the run's."""
    if asked.run is None:
        if "dataset" not in given:
            raise ConfigError(
                "A model outside the folder of its run does not say which "
                f"images test it. Name them for {asked.file or asked.name}: "
                "`dataset`, and, where its run is at hand, `split` with the "
                "split.csv of that."
            )
        return DataConfig(**given), None
    training = Run.open(asked.run).config
    kept = {name: getattr(training, name) for name in _FIELDS}
    if given.get("dataset", training.dataset) != training.dataset:
        kept = {name: kept[name] for name in _AS_SEEN}
    # That of each model, unless it is asked for.
    kept.pop("face_margin", None)
    config = DataConfig(**{**kept, **given})
    same = config.dataset == training.dataset
    divided = same and not any(name in given for name in _DIVIDING)
    split = asked.run / "split.csv"
    return config, split if divided and split.is_file() else None


def _default_subset(
    asked: _Asked, config: DataConfig, given: Mapping[str, Any]
) -> str:
    """The test part where a division of the images is known, else all.

    A division that is drawn here says nothing about the model's training.
    """
    if asked.run is not None:
        training = Run.open(asked.run).config
        if config.dataset == training.dataset:
            return "test"
    return "test" if given.get("split") else "all"


def _sized(
    config: DataConfig, model: ModelBundle, given: Mapping[str, Any]
) -> DataConfig:
    """The settings with the model's image size."""
    size, _, channels = model.input_shape
    sizes: dict[str, Any] = {"image_size": size, "channels": channels}
    for name, value in sizes.items():
        if given.get(name, value) != value:
            raise ConfigError(
                f"`{name}` is what the model takes, and can be left out. "
                f"{model.file or model.name} takes {value}. Received: "
                f"{given[name]}."
            )
    return dataclasses.replace(config, **sizes)


# === The images ===


class _Images(NamedTuple):
    """The images that are asked for."""

    subset: str
    config: DataConfig
    data: SplitDataset
    rows: np.ndarray
    tta: bool

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.data.dataset.class_names)

    @property
    def paths(self) -> np.ndarray:
        """As in the manifest."""
        paths = self.data.dataset.manifest["path"]
        return paths.to_numpy(object)[self.rows]

    @property
    def labels(self) -> np.ndarray:
        return self.data.dataset.labels[self.rows]

    @property
    def subjects(self) -> np.ndarray | None:
        """Who is on them, where that is known."""
        dataset = self.data.dataset
        if not dataset.has_subjects:
            return None
        return dataset.manifest["subject"].to_numpy(object)[self.rows]

    def with_classes(self, names: tuple[str, ...]) -> _Images:
        """The same, with classes that a model knows and no image is of.

        What is answered so is wrong, and is counted.
        """
        dataset = self.data.dataset
        order = match_classes(names, self.class_names)
        # Shares tell of every class, and of no others.
        if None in order or dataset.has_shares:
            return self
        others = (x for place, x in enumerate(names) if place not in order)
        dataset = dataclasses.replace(
            dataset, class_names=(*self.class_names, *others)
        )
        data = dataclasses.replace(self.data, dataset=dataset)
        return self._replace(data=data)

    def decoded(self, model: ModelBundle) -> np.ndarray:
        """All images of the data set as a model takes them."""
        size, _, channels = model.input_shape
        sizes: dict[str, Any] = {"image_size": size, "channels": channels}
        config = dataclasses.replace(self.config, **sizes)
        margin = config.face_margin
        if margin is None:
            # As in its training, which may not have been on this data.
            margin = model.crop_margin
        return self.data.decode(config, margin)

    def predict(self, model: ModelBundle, images: np.ndarray) -> Predictions:
        """A model's predictions; `images` are all, `decoded` for it."""
        from kerafer.evaluation.predictions import (
            Predictions,
            checked_probabilities,
            predict_with_flips,
        )

        run = model.predict
        if self.tta:
            run = functools.partial(predict_with_flips, run)
        steps = range(0, len(self.rows), _BATCH)
        batches = (run(images[self.rows[at : at + _BATCH]]) for at in steps)
        answers = list(
            track(batches, f"Batches through {model.name}", len(steps))
        )
        probabilities = checked_probabilities(
            np.concatenate(answers), str(model.file or model.name)
        )
        order = column_order(model.labels, self.class_names)
        return Predictions(
            self.paths,
            self.labels,
            probabilities=probabilities[:, order],
            class_names=self.class_names,
            subjects=self.subjects,
        )


def _find_subset(
    config: DataConfig, split_file: Path | None, subset: str, tta: bool
) -> _Images:
    from kerafer.workflows.split_dataset import find_data

    try:
        data = find_data(config, split_file)
    except UserError as error:
        if split_file is None or str(split_file) not in str(error):
            raise
        raise ConfigError(
            f"{error}\nThat is the run's own split. For other images than "
            "the run's, `split` paper, subject or given divides them."
        ) from None
    parts = data.split.to_numpy()
    rows = np.arange(len(parts))
    if subset != "all":
        rows = rows[parts == subset]
    if not len(rows):
        there = ", ".join(sorted(set(parts)))
        raise ConfigError(
            f"The subset {subset} of the split has no images. Choose one of "
            f"{there}."
        )
    return _Images(subset, config, data, rows, tta)


# === What comes out ===


class _Earlier(NamedTuple):
    """What is compared with."""

    name: str
    predictions: Predictions


def _score(
    model: ModelBundle,
    second: ModelBundle | None,
    images: _Images,
    decoded: np.ndarray,
    predictions: Predictions,
    earlier: _Earlier | None,
) -> Evaluation:
    from kerafer.evaluation import compare, surest_mistakes
    from kerafer.evaluation.evaluation import Evaluation
    from kerafer.evaluation.scores import drawn_groups, score

    scores = score(
        predictions.labels,
        predictions.probabilities,
        predictions.class_names,
        predictions.subjects,
        _score_votes(model, images, predictions),
    )
    notes = scores.notes()
    if images.tta:
        notes.append(_TTA)
    for one in filter(None, (model, second)):
        notes += _trained_on(one, images)
    if model.run is None and not (images.config.split or "").endswith(".csv"):
        notes.append(_UNKNOWN_TRAINING.format(model.name))
    comparison = name = None
    if earlier is not None:
        comparison = compare(
            predictions.labels,
            predictions.predicted,
            earlier.predictions.predicted,
            drawn_groups(predictions.subjects),
        )
        name = earlier.name
    mistakes = surest_mistakes(predictions.labels, predictions.probabilities)
    dataset = images.data.dataset
    return Evaluation(
        model=model.name,
        model_file=None if model.file is None else os.fspath(model.file),
        sha256=None if model.file is None else model.digest,
        input_shape=model.input_shape,
        dataset=dataset.name,
        source=dataset.source,
        licence=dataset.licence,
        split=images.data.split_name,
        subset=images.subset,
        predictions=predictions,
        scores=scores,
        split_notes=images.data.notes,
        own_notes=tuple(notes),
        mistakes=mistakes,
        mistake_images=decoded[images.rows[mistakes["row"].to_numpy()]],
        tta=images.tta,
        against=name,
        comparison=comparison,
    )


_TTA = (
    "The probabilities of each image and of its mirror image are averaged "
    "(with mirrored images), which takes twice the time."
)
_UNKNOWN_TRAINING = (
    "The images were divided anew here. Whether {} was trained on some of "
    "them can't be told from its file; `split` with the split.csv of its run "
    "takes those that it was not."
)


def _score_votes(
    model: ModelBundle, images: _Images, predictions: Predictions
) -> VoteScores | None:
    from kerafer.evaluation.votes import score_votes

    dataset = images.data.dataset
    if not dataset.has_shares:
        return None
    return score_votes(
        dataset.targets[images.rows],
        dataset.majority[images.rows],
        labels=predictions.labels,
        probabilities=predictions.probabilities,
        class_names=predictions.class_names,
        temperature=model.vote_temperature or 1.0,
    )


def _trained_on(model: ModelBundle, images: _Images) -> list[str]:
    """A warning where a run saw images of the part in its training."""
    from kerafer.tables import read_table

    if model.run is None or not (model.run / "split.csv").is_file():
        return []
    if Run.open(model.run).config.dataset != images.config.dataset:
        return []
    table = read_table(model.run / "split.csv")
    trained = set(table["path"][table["split"] == "train"])
    seen = sum(path in trained for path in images.paths)
    if not seen:
        return []
    return [
        f"{model.name} was trained on {seen:,} of these {len(images.rows):,} "
        "images: its scores are not those of new ones."
    ]


def _earlier(found: Evaluation, images: _Images) -> _Earlier:
    """The predictions of an evaluation of the same images."""
    from kerafer.evaluation.predictions import split_digest

    dataset = images.data.dataset
    names = np.array(dataset.class_names, object)
    digest_here = split_digest(images.paths, names[images.labels])
    if found.predictions.digest != digest_here:
        raise UserError(
            "Two models must be compared on the same images.\n"
            f"This evaluation: {len(images.rows)} images, {images.subset} of "
            f"{dataset.name}, split {images.data.split_name}.\n"
            f"`against`: {len(found.predictions.labels)} images, "
            f"{found.subset} of {found.dataset}, split {found.split}."
        )
    return _Earlier(found.shown_name, found.predictions.in_order(images.paths))


def _command(
    model: object,
    subset: str,
    tta: bool,
    named: Mapping[str, Any],
    given: Mapping[str, Any],
) -> str | None:
    """The command line of an evaluation; `None` of a model in memory."""
    kinds = (str, os.PathLike)
    against = named["against"]
    if not isinstance(model, kinds) or not isinstance(
        against, (*kinds, type(None))
    ):
        return None
    words = ["kerafer", "evaluate", "--model", os.fspath(model)]
    for name, value in named.items():
        if value is not None:
            told = value if isinstance(value, kinds) else ",".join(value)
            words += [f"--{name}", os.fspath(told)]
    words += ["--subset", subset]
    if tta:
        words.append("--tta")
    words += as_flags(DataConfig(**given), always=tuple(given))
    return shlex.join(words)
