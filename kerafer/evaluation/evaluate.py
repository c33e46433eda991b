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
from kerafer.datasets import Dataset
from kerafer.datasets.config import DataConfig
from kerafer.datasets.decoded import decode_as
from kerafer.datasets.loading import load_data
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
# Settings that change the split of a run.
_SPLITTING = {"split", "seed", "angles", "subjects", "subject_pattern"}
# Settings of a run that hold for other data sets too.
_PREPARING = {"face_crop", "without_face"}


def evaluate(
    model: str | os.PathLike[str] | keras.Model,
    dataset: str | None = None,
    *,
    subset: str | None = None,
    against: str | os.PathLike[str] | keras.Model | Evaluation | None = None,
    labels: Sequence[str] | None = None,
    input_range: str | None = None,
    bgr: bool = False,
    logits: bool = False,
    tta: bool = False,
    target_accuracy: float | None = None,
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
        dataset: Name of a data set. Default: that of the run, with its split.
        subset: `"test"`, `"validation"`, `"train"` or `"all"`. Default:
            `"test"` for a run on its own data set, and if `split` is given;
            else `"all"`.
        against: A second model, or an `Evaluation` of the same images, to
            compare with. Default: none.
        labels: Class names in the order of the outputs, for a model without
            them.
        input_range: The values that the models take, if their files do not
            say: `"0..255"`, `"0..1"`, `"-1..1"` or mean/std.
        bgr: Whether the models take images in the order B, G, R. Default:
            `False`.
        logits: Whether the models give logits; softmax is applied to them.
            Default: `False`.
        tta: Whether to average the probabilities of each image and of its
            mirror image, for `against` too unless that is an evaluation.
            Default: `False`.
        target_accuracy: Fit thresholds on the validation images, one for each
            class, above which predictions are right this often, and test them
            on `subset`. Default: none.
        out: Folder for report, figures and tables. Default: none is written.
        force: Whether to replace an earlier evaluation in `out`. Default:
            `False`.
        **settings: Fields of `DataConfig` over the run's, or over the
            defaults, such as `data_dir` and `split`. `image_size` is for
            models that take any size; others decide on it themselves.

    Raises:
        UserError: If the model or the images are missing, or do not fit.
    """
    if subset not in (None, *SUBSETS):
        raise ConfigError(
            f"Unknown `subset` {subset!r}. Choose one of {', '.join(SUBSETS)}."
        )
    if target_accuracy is not None and not 0 < target_accuracy < 1:
        raise ConfigError(
            "`target_accuracy` must be more than 0 and less than 1, such as "
            f"0.95. Received: {target_accuracy}."
        )
    named = settings if dataset is None else {"dataset": dataset, **settings}
    source = _find(model)
    config, split_file = _data_settings(source, named)
    if subset is None:
        # A split that is drawn here says nothing about the model's training.
        own = named.get("split") or _has_run(source, config)
        subset = "test" if own else "all"
    other = None if hasattr(against, "predictions") else _find(against)
    if out is not None:
        from kerafer.evaluation.evaluation import check_folder

        check_folder(out, force)

    # Backends take seconds to import; report the mistakes above first.
    load_backend()
    from kerafer.evaluation import compare, score
    from kerafer.evaluation.evaluation import Evaluation, with_tta
    from kerafer.evaluation.scores import drawn_groups
    from kerafer.evaluation.selective import select

    options = {
        "labels": labels,
        "input_range": input_range,
        "bgr": bgr,
        "logits": logits,
        "image_size": named.get("image_size"),
    }
    opened = _open(source or model, options)
    data = _load(_for_model(config, opened), split_file)
    everything = np.arange(len(data))
    rows = everything if subset == "all" else data.indices(subset)
    if not len(rows):
        raise ConfigError(
            f"The subset {subset} of the split has no images. Choose one of "
            f"{', '.join(sorted(set(data.manifest['split'])))}."
        )
    if target_accuracy is not None and (
        subset in ("validation", "all") or not len(data.indices("validation"))
    ):
        raise ConfigError(
            "`target_accuracy` is fitted on validation images and tested on "
            f"others, such as `subset` test. Received: {subset}, and "
            f"{len(data.indices('validation'))} validation images."
        )
    console.print(
        f"Evaluating {opened.name} on {len(rows):,} of {len(everything):,} "
        f"images ({subset})."
    )
    names = _class_names(data, opened.labels)
    images = decode_as(data, _for_model(config, opened)).pixels[rows]
    found = _predict(opened, data, rows, images, names, tta)
    selective = None
    if target_accuracy is not None:
        others = data.indices("validation")
        given = decode_as(data, _for_model(config, opened)).pixels[others]
        fitted = _predict(opened, data, others, given, names, tta)
        selective = select(
            (fitted.labels, fitted.probabilities),
            (found.labels, found.probabilities),
            names,
            target_accuracy,
            drawn_groups(found.subjects),
        )
    scores = score(
        found.labels,
        found.probabilities,
        names,
        found.subjects,
        _score_votes(opened, data, rows, found),
        selective,
    )
    notes = [*data.notes, *scores.notes(), *_warnings(opened, config, found)]
    if tta:
        notes.append(
            "The probabilities are averaged with mirrored images, which takes "
            "twice the time."
        )
    comparison = other_name = None
    if isinstance(against, Evaluation):
        other_name, theirs = against.shown_name, against.predictions
        if theirs.paths.tolist() != found.paths.tolist():
            raise UserError(
                "Two models must be compared on the same images. `against` has "
                f"{len(theirs.paths)} images, {against.facts['subset']} of "
                f"{against.facts['dataset']}; this evaluation has {len(rows)}, "
                f"{subset} of {data.name}."
            )
    elif against is not None:
        second = _open(other or against, options)
        other_name = with_tta(second.name, tta)
        notes += _warnings(second, config, found)
        others = decode_as(data, _for_model(config, second)).pixels[rows]
        theirs = _predict(second, data, rows, others, names, tta)
    if other_name is not None:
        groups = drawn_groups(found.subjects)
        comparison = compare(
            found.labels, found.predicted, theirs.predicted, groups
        )
    words = {
        "model": model,
        "against": against,
        "labels": labels and ",".join(labels),
        "input-range": input_range,
        "subset": subset,
        "out": out,
        "bgr": bgr or None,
        "logits": logits or None,
        "tta": tta or None,
        "target-accuracy": target_accuracy and str(target_accuracy),
    }
    evaluation = Evaluation(
        facts={
            "model": {
                "name": opened.name,
                "path": source and os.fspath(source.file),
                "sha256": source and opened.digest,
            },
            "dataset": data.name,
            "data": data.source,
            "licence": data.licence,
            "subset": subset,
            "split": data.split_name,
            "tta": tta,
        },
        predictions=found,
        images=images,
        scores=scores,
        notes=tuple(notes),
        against=other_name,
        comparison=comparison,
        command=_command(words, named),
    )
    if out is not None:
        evaluation.write(out, force)
    return evaluation


def _find(model: Any) -> ModelSource | None:
    """Find the file of a model; `None` for one in memory."""
    if model is None or hasattr(model, "predict_on_batch"):
        return None
    return ModelSource.find(model)


def _has_run(source: ModelSource | None, config: DataConfig) -> bool:
    """Whether a model is from a run on the data set of the settings."""
    return (
        source is not None
        and source.run is not None
        and source.config["dataset"] == config.dataset
    )


def _data_settings(
    source: ModelSource | None, named: Mapping[str, Any]
) -> tuple[DataConfig, Path | None]:
    """Return the data settings, and the run's split if it holds for them."""
    if source is None or source.run is None:
        if "dataset" not in named:
            raise ConfigError(
                "Name the images to evaluate on with `dataset`: the model is "
                "not in the folder of a run."
            )
        return DataConfig(**named), None
    trained = source.config
    same = named.get("dataset", trained["dataset"]) == trained["dataset"]
    fields = {field.name for field in dataclasses.fields(DataConfig)}
    # Each model has its own crop margin.
    kept = (fields - {"face_margin"} if same else _PREPARING) & trained.keys()
    config = DataConfig(**{name: trained[name] for name in kept} | dict(named))
    file = source.run / "split.csv"
    known = same and file.is_file() and not _SPLITTING & named.keys()
    return config, file if known else None


def _open(model: Any, options: Mapping[str, Any]) -> ModelBundle:
    opened = ModelBundle.load(model, **options)
    height, width, _ = opened.input_shape
    if height != width:
        raise UserError(
            "Images of data sets are decoded to squares, but "
            f"{opened.file or opened.name} takes {height} x {width}."
        )
    return opened


def _for_model(config: DataConfig, opened: ModelBundle) -> DataConfig:
    """Return the settings with the model's image size and crop margin."""
    size, _, channels = opened.input_shape
    margin = config.face_margin
    sizes: dict[str, Any] = {"image_size": size, "channels": channels}
    if margin is None:
        margin = opened.crop_margin
    return dataclasses.replace(config, face_margin=margin, **sizes)


def _load(config: DataConfig, split_file: Path | None) -> Dataset:
    try:
        return load_data(config, split_file)
    except UserError as error:
        if split_file is None or str(split_file) not in str(error):
            raise
        raise ConfigError(
            f"{error}\nThat is the run's own split. For other images, set "
            "`split` to paper, subject or given."
        ) from None


def _class_names(data: Dataset, labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the data's classes, then those that only the model knows.

    Predictions of the latter are wrong, and count.
    """
    names = tuple(data.class_names)
    order = match_classes(labels, names)
    # Soft labels are of all classes.
    if None in order or data.has_shares:
        return names
    return (*names, *(x for i, x in enumerate(labels) if i not in order))


def _predict(
    opened: ModelBundle,
    data: Dataset,
    rows: np.ndarray,
    images: np.ndarray,
    names: tuple[str, ...],
    tta: bool,
) -> Predictions:
    from kerafer.evaluation.predictions import (
        Predictions,
        checked_probabilities,
        predict_with_flips,
    )

    order = column_order(opened.labels, names)
    predict = opened.predict
    if tta:
        predict = functools.partial(predict_with_flips, predict)
    starts = range(0, len(rows), _BATCH)
    batches = (predict(images[i : i + _BATCH]) for i in starts)
    found = list(track(batches, f"Batches through {opened.name}", len(starts)))
    probabilities = checked_probabilities(
        np.concatenate(found), str(opened.file or opened.name)
    )
    manifest = data.manifest.iloc[rows]
    return Predictions(
        manifest["path"].to_numpy(object),
        data.labels[rows],
        probabilities=probabilities[:, order],
        class_names=names,
        subjects=manifest["subject"].to_numpy(object)
        if data.has_subjects
        else None,
    )


def _score_votes(
    opened: ModelBundle,
    data: Dataset,
    rows: np.ndarray,
    predictions: Predictions,
) -> VoteScores | None:
    if not data.has_shares:
        return None
    from kerafer.evaluation.votes import score_votes

    return score_votes(
        data.targets[rows],
        data.majority[rows],
        labels=predictions.labels,
        probabilities=predictions.probabilities,
        class_names=predictions.class_names,
        temperature=opened.vote_temperature or 1.0,
        votes=None if (votes := data.votes) is None else votes[rows],
    )


def _warnings(
    opened: ModelBundle, config: DataConfig, found: Predictions
) -> list[str]:
    """Warn of images that the model was, or may have been, trained on."""
    if opened.run is None and not (config.split or "").endswith(".csv"):
        return [
            f"{opened.name} may have seen these images in training: its file "
            "does not tell. `split` with the split.csv of its run tests it on "
            "others."
        ]
    file = Path(opened.run or "", "split.csv")
    if not _has_run(opened.source, config) or not file.is_file():
        return []
    table = read_table(file)
    seen = np.isin(found.paths, table["path"][table["split"] == "train"]).sum()
    if not seen:
        return []
    return [
        f"{opened.name} was trained on {seen:,} of these {len(found.paths):,} "
        "images: its scores are not those of new ones."
    ]


def _command(
    options: Mapping[str, Any], named: Mapping[str, Any]
) -> str | None:
    """Return the command that repeats an evaluation, if there is one."""
    words = ["kerafer", "evaluate"]
    for name, value in options.items():
        if value is True:
            words.append(f"--{name}")
        elif isinstance(value, (str, os.PathLike)):
            words += [f"--{name}", os.fspath(value)]
        elif value is not None:
            return None
    settings = as_flags(DataConfig(**named), always=tuple(named))
    return shlex.join([*words, *settings])
