"""Score a model on labelled images, alone or against another."""

from __future__ import annotations

import dataclasses
import functools
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerafer.class_names import column_order, match_classes
from kerafer.console import console, track
from kerafer.datasets.config import DataConfig
from kerafer.datasets.split_dataset import SplitDataset, find_data
from kerafer.engine import load_backend
from kerafer.errors import ConfigError, UserError
from kerafer.inference import ModelBundle, ModelSource
from kerafer.settings import as_flags
from kerafer.tables import read_table

if TYPE_CHECKING:
    import keras

    from kerafer.evaluation.evaluation import Evaluation
    from kerafer.evaluation.predictions import Predictions
    from kerafer.evaluation.votes import VoteScores

SUBSETS = ("test", "validation", "train", "all")
_BATCH = 32
_FIELDS = tuple(field.name for field in dataclasses.fields(DataConfig))
# Settings that change the split of a run.
_SPLITTING = ("split", "seed", "angles", "subjects", "subject_pattern")
# Settings of a run that hold for other data sets too.
_PREPARING = ("image_size", "channels", "face_crop", "without_face")


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
        model: A Keras model in memory; a `.keras`, `.tflite` or `.onnx` file;
            the folder of a SavedModel, a run or an export; or the name of an
            included model.
        dataset: Name of a data set, or all its settings. Default: that of the
            run, with its split.
        subset: `"test"`, `"validation"`, `"train"` or `"all"`. Default:
            `"test"` for a run on its own data set, and if `split` is given;
            else `"all"`.
        against: A second model, or an `Evaluation` of the same images, to
            compare with. Default: none.
        labels: Class names in the order of the outputs, for a model without
            them.
        input_range: The values that the models take, if their files do not
            say: `"0..255"`, `"0..1"`, `"-1..1"` or mean/std.
        tta: Whether to average the probabilities of each image and of its
            mirror image, for `against` too unless that is an evaluation.
            Default: `False`.
        out: Folder for report, figures and tables. Default: none is written.
        force: Whether to replace an earlier evaluation in `out`. Default:
            `False`.
        **settings: Fields of `DataConfig` over the run's, or over the
            defaults, such as `data_dir` and `split`.

    Raises:
        UserError: If the model or the images are missing, or do not fit.
    """
    if subset not in (None, *SUBSETS):
        raise ConfigError(
            f"Unknown `subset` {subset!r}. Choose one of {', '.join(SUBSETS)}."
        )
    named = _named_settings(dataset, settings)
    source = _find(model)
    config, split_file = _data_settings(source, named)
    subset = subset or _default_subset(source, config, named)
    second = against if hasattr(against, "predictions") else _find(against)
    if out is not None:
        from kerafer.evaluation.evaluation import check_folder

        check_folder(out, force)

    # Backends take seconds to import; report the mistakes above first.
    load_backend()
    bundle = _open(model if source is None else source, labels, input_range)
    config = _with_input_size(config, bundle, named)
    data = _load(config, split_file)
    names = _class_names(data, bundle.labels)
    indices = _indices(data, subset)
    console.print(
        f"Evaluating {bundle.name} on {len(indices):,} of "
        f"{len(data.dataset):,} images ({subset})."
    )
    images = _decode(bundle, data, config, named)
    predictions = _predict(bundle, data, images, indices, names, tta)

    from kerafer.evaluation import compare, score, surest_mistakes
    from kerafer.evaluation.evaluation import Evaluation, with_tta
    from kerafer.evaluation.scores import drawn_groups

    scores = score(
        predictions.labels,
        predictions.probabilities,
        names,
        predictions.subjects,
        _score_votes(bundle, data, indices, predictions),
    )
    notes = [*scores.notes(), *_notes(bundle, config, predictions, tta)]
    comparison = other_name = None
    if isinstance(second, Evaluation):
        other_name = second.shown_name
        theirs = _same_images(second, predictions, subset, data)
    elif against is not None:
        other = _open(second or against, labels, input_range)
        other_name = with_tta(other.name, tta)
        notes += _seen_in_training(other, config, predictions)
        other_images = _decode(other, data, config, named)
        theirs = _predict(other, data, other_images, indices, names, tta)
    if other_name is not None:
        comparison = compare(
            predictions.labels,
            predictions.predicted,
            theirs.predicted,
            drawn_groups(predictions.subjects),
        )
    mistakes = surest_mistakes(predictions.labels, predictions.probabilities)
    evaluation = Evaluation(
        model=bundle.name,
        model_file=None if source is None else os.fspath(source.file),
        sha256=None if source is None else bundle.digest,
        input_shape=bundle.input_shape,
        dataset=data.dataset.name,
        source=data.dataset.source,
        licence=data.dataset.licence,
        split=data.split_name,
        subset=subset,
        predictions=predictions,
        scores=scores,
        split_notes=data.notes,
        own_notes=tuple(notes),
        mistakes=mistakes,
        mistake_images=images[indices[mistakes["row"].to_numpy()]],
        tta=tta,
        against=other_name,
        comparison=comparison,
        command=_command(
            {
                "model": model,
                "against": against,
                "labels": labels and ",".join(labels),
                "input-range": input_range,
                "subset": subset,
                "out": out,
            },
            tta,
            named,
        ),
    )
    if out is not None:
        evaluation.write(out, force)
    return evaluation


def _find(model: Any) -> ModelSource | None:
    """The file of a model; `None` for one in memory."""
    if model is None or hasattr(model, "predict_on_batch"):
        return None
    return ModelSource.find(model)


def _open(
    model: Any, labels: Sequence[str] | None, input_range: str | None
) -> ModelBundle:
    bundle = ModelBundle.load(model, labels=labels, input_range=input_range)
    height, width, _ = bundle.input_shape
    if height != width:
        raise UserError(
            "Images of data sets are decoded to squares, but "
            f"{bundle.file or bundle.name} takes {height} x {width}."
        )
    return bundle


def _named_settings(
    dataset: str | DataConfig | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The data settings that the caller named."""
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


def _data_settings(
    source: ModelSource | None, named: Mapping[str, Any]
) -> tuple[DataConfig, Path | None]:
    """The data settings, and the run's split file if it holds for them."""
    if source is None or source.run is None:
        if "dataset" not in named:
            raise ConfigError(
                "Name the images to evaluate on with `dataset`: the model is "
                "not in the folder of a run."
            )
        return DataConfig(**named), None
    trained = source.config
    same = named.get("dataset", trained["dataset"]) == trained["dataset"]
    kept = {
        name: trained[name]
        for name in (_FIELDS if same else _PREPARING)
        # Each model has its own crop margin.
        if name in trained and name != "face_margin"
    }
    config = DataConfig(**{**kept, **named})
    split_file = source.run / "split.csv"
    if not same or any(name in named for name in _SPLITTING):
        return config, None
    return config, split_file if split_file.is_file() else None


def _default_subset(
    source: ModelSource | None, config: DataConfig, named: Mapping[str, Any]
) -> str:
    """The test part of a split that is known, else all images.

    A split that is drawn here says nothing about the model's training.
    """
    is_own = (
        source is not None
        and source.run is not None
        and source.config["dataset"] == config.dataset
    )
    return "test" if is_own or named.get("split") else "all"


def _with_input_size(
    config: DataConfig, bundle: ModelBundle, named: Mapping[str, Any]
) -> DataConfig:
    """The data settings with the model's image size and crop margin."""
    size, _, channels = bundle.input_shape
    sizes: dict[str, Any] = {"image_size": size, "channels": channels}
    for name, value in sizes.items():
        if named.get(name, value) != value:
            raise ConfigError(
                f"{bundle.file or bundle.name} takes `{name}` {value}. "
                f"Received: {named[name]}. Leave it out."
            )
    if config.face_crop != "none" and config.face_margin is None:
        sizes["face_margin"] = bundle.crop_margin
    return dataclasses.replace(config, **sizes)


def _load(config: DataConfig, split_file: Path | None) -> SplitDataset:
    try:
        return find_data(config, split_file)
    except UserError as error:
        if split_file is None or str(split_file) not in str(error):
            raise
        raise ConfigError(
            f"{error}\nThat is the run's own split. For other images, set "
            "`split` to paper, subject or given."
        ) from None


def _decode(
    bundle: ModelBundle,
    data: SplitDataset,
    config: DataConfig,
    named: Mapping[str, Any],
) -> np.ndarray:
    """All images of the data set as a model takes them."""
    size, _, channels = bundle.input_shape
    sizes: dict[str, Any] = {"image_size": size, "channels": channels}
    margin = named.get("face_margin")
    return data.decode(
        dataclasses.replace(config, **sizes),
        bundle.crop_margin if margin is None else margin,
    )


def _indices(data: SplitDataset, subset: str) -> np.ndarray:
    if subset == "all":
        return np.arange(len(data.dataset))
    indices = data.rows(subset)
    if not len(indices):
        raise ConfigError(
            f"The subset {subset} of the split has no images. Choose one of "
            f"{', '.join(sorted(set(data.split)))}."
        )
    return indices


def _class_names(
    data: SplitDataset, labels: tuple[str, ...]
) -> tuple[str, ...]:
    """The data's classes, then those that only the model knows.

    Predictions of the latter are wrong, and count.
    """
    names = tuple(data.dataset.class_names)
    order = match_classes(labels, names)
    # Soft labels are of all classes.
    if None in order or data.dataset.has_shares:
        return names
    return (*names, *(x for i, x in enumerate(labels) if i not in order))


def _predict(
    bundle: ModelBundle,
    data: SplitDataset,
    images: np.ndarray,
    indices: np.ndarray,
    names: tuple[str, ...],
    tta: bool,
) -> Predictions:
    from kerafer.evaluation.predictions import (
        Predictions,
        checked_probabilities,
        predict_with_flips,
    )

    order = column_order(bundle.labels, names)
    predict = bundle.predict
    if tta:
        predict = functools.partial(predict_with_flips, predict)
    starts = range(0, len(indices), _BATCH)
    batches = (predict(images[indices[i : i + _BATCH]]) for i in starts)
    found = list(track(batches, f"Batches through {bundle.name}", len(starts)))
    probabilities = checked_probabilities(
        np.concatenate(found), str(bundle.file or bundle.name)
    )
    manifest = data.dataset.manifest.iloc[indices]
    return Predictions(
        manifest["path"].to_numpy(object),
        data.dataset.labels[indices],
        probabilities=probabilities[:, order],
        class_names=names,
        subjects=manifest["subject"].to_numpy(object)
        if data.dataset.has_subjects
        else None,
    )


def _score_votes(
    bundle: ModelBundle,
    data: SplitDataset,
    indices: np.ndarray,
    predictions: Predictions,
) -> VoteScores | None:
    if not data.dataset.has_shares:
        return None
    from kerafer.evaluation.votes import score_votes

    return score_votes(
        data.dataset.targets[indices],
        data.dataset.majority[indices],
        labels=predictions.labels,
        probabilities=predictions.probabilities,
        class_names=predictions.class_names,
        temperature=bundle.vote_temperature or 1.0,
    )


def _notes(
    bundle: ModelBundle,
    config: DataConfig,
    predictions: Predictions,
    tta: bool,
) -> list[str]:
    """What makes the scores doubtful besides their intervals."""
    notes = []
    if tta:
        notes.append(
            "The probabilities are averaged with mirrored images, which takes "
            "twice the time."
        )
    notes += _seen_in_training(bundle, config, predictions)
    if bundle.run is None and not (config.split or "").endswith(".csv"):
        notes.append(
            f"{bundle.name} may have seen these images in training: its file "
            "does not tell. `split` with the split.csv of its run tests it on "
            "others."
        )
    return notes


def _seen_in_training(
    bundle: ModelBundle, config: DataConfig, predictions: Predictions
) -> list[str]:
    """A warning if a run was trained on some of the images."""
    source = bundle.source
    if source is None or source.run is None:
        return []
    file = source.run / "split.csv"
    if source.config["dataset"] != config.dataset or not file.is_file():
        return []
    table = read_table(file)
    trained = set(table["path"][table["split"] == "train"])
    seen = sum(path in trained for path in predictions.paths)
    if not seen:
        return []
    return [
        f"{bundle.name} was trained on {seen:,} of these "
        f"{len(predictions.paths):,} images: its scores are not those of new "
        "ones."
    ]


def _same_images(
    other: Evaluation, predictions: Predictions, subset: str, data: SplitDataset
) -> Predictions:
    """The predictions of another evaluation, of the same images."""
    if other.predictions.digest != predictions.digest:
        raise UserError(
            "Two models must be compared on the same images.\n"
            f"This evaluation: {len(predictions.paths)} images, {subset} of "
            f"{data.dataset.name}, split {data.split_name}.\n"
            f"`against`: {len(other.predictions.paths)} images, "
            f"{other.subset} of {other.dataset}, split {other.split}."
        )
    return other.predictions.in_order(predictions.paths)


def _command(
    options: Mapping[str, Any], tta: bool, named: Mapping[str, Any]
) -> str | None:
    """The command that repeats an evaluation; `None` for one in memory."""
    words = ["kerafer", "evaluate"]
    for name, value in options.items():
        if not isinstance(value, (str, os.PathLike, type(None))):
            return None
        if value is not None:
            words += [f"--{name}", os.fspath(value)]
    words += ["--tta"] * tta
    return shlex.join(
        [*words, *as_flags(DataConfig(**named), always=tuple(named))]
    )
