"""The weights that a training starts with, and its teachers."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from kerafer.class_names import column_order, match_classes
from kerafer.console import console
from kerafer.errors import ConfigError, UserError
from kerafer.faces import MARGIN
from kerafer.inference import ModelBundle, ModelSource
from kerafer.model_files import model_path
from kerafer.training.config import TrainingConfig
from kerafer.training.run import find_run

if TYPE_CHECKING:
    import keras

    from kerafer.datasets import Dataset
    from kerafer.training.distillation import Distillation


def with_face_margin(config: TrainingConfig) -> TrainingConfig:
    """Crop faces as the model of `init_from` saw them.

    This applies if `face_crop` is on and `face_margin` is not given.

    Raises:
        UserError: If `config` is not a `TrainingConfig`.
    """
    if not isinstance(config, TrainingConfig):
        raise UserError(
            "The settings of a training must be a kerafer.TrainingConfig. "
            f"Received: {type(config).__name__}."
        )
    wanted = config.face_crop != "none" and config.face_margin is None
    if not (wanted and config.init_from):
        return config
    margin = ModelSource.find(config.init_from, keras_only=True).crop_margin
    if margin in (None, MARGIN):
        return config
    console.print(
        f"Crop margin: {margin:g}, as in the training of {config.init_from}."
    )
    return dataclasses.replace(config, face_margin=margin)


def make_model(config: TrainingConfig, data: Dataset) -> keras.Model:
    """Make the model, with the weights of `init_from` if it is given.

    Args:
        config: Uses `arch`, `options`, `init_from`, `freeze_until` and the
            size of images.
        data: The images; `init_from` must not have been trained on those of
            the validation and test sets.

    Raises:
        UserError: For options that the model does not have, weights that do
            not fit, or images that were trained on.
    """
    from kerafer.models import create_model, load_model
    from kerafer.models.transfer import copy_weights, freeze_until

    class_names = data.class_names
    shape = (config.image_size, config.image_size, config.channels)
    options = config.model_options
    try:
        model = create_model(config.arch, len(class_names), shape, **options)
    except (ValueError, TypeError) as error:
        if isinstance(error, UserError) or not options:
            raise
        raise ConfigError(f"`options` {config.options}: {error}") from error
    if not config.init_from:
        return model
    _check(config.init_from, "init_from", data)
    source = load_model(config.init_from)
    labels = ModelSource.find(config.init_from, keras_only=True).labels or ()
    same = len(labels) == source.output_shape[-1] and (
        match_classes(labels, class_names) == [*range(len(labels))]
    )
    heads = [x.name for x in model.layers if x.name.endswith("logits")]
    done = copy_weights(model, source, () if same else heads)
    console.print(
        f"Weights of {len(done.copied)} layers from {config.init_from}; "
        f"fresh: {', '.join(done.fresh) or 'none'}."
    )
    if config.freeze_until:
        freeze_until(model, config.freeze_until, done.fresh)
    return model


def load_teachers(config: TrainingConfig, data: Dataset) -> Distillation | None:
    """Load the teachers; `None` without any.

    Args:
        config: Uses `teacher`, `distill_alpha` and `temperature`.
        data: The images; teachers must not have been trained on those of the
            validation and test sets.

    Raises:
        UserError: For other classes, or images that a teacher was trained on.
    """
    if not config.teachers:
        return None
    from kerafer.training.distillation import Distillation

    teachers, orders = [], []
    for name in config.teachers:
        _check(name, "teacher", data)
        bundle = ModelBundle.load(name, keras_only=True)
        teacher = bundle.keras_model_of_pixels()
        teacher.trainable = False
        orders.append(column_order(bundle.labels, data.class_names))
        teachers.append(teacher)
    return Distillation(
        teachers, orders, config.distill_alpha, config.temperature
    )


def _check(name: str, setting: str, data: Dataset) -> None:
    """Refuse an unfinished run, and one trained on held-out images here."""
    path = model_path(name)
    folder = path if path.is_dir() else path.parent
    run = find_run(folder)
    if run is None:
        return
    if path.is_dir() and not run.is_over:
        raise ConfigError(
            f"`{setting}` must be a finished run. {name} is not; finish it "
            f"with\nkerafer train --resume {name}"
        )
    file = folder / "split.csv"
    if run.config.dataset != data.name or not file.is_file():
        return
    from kerafer.datasets.splits import read_split_table

    table = read_split_table(file)
    # Runs on Windows have backslashes.
    seen = table["path"][table["split"] == "train"].str.replace("\\", "/")
    paths = data.manifest["path"].str.replace("\\", "/")
    held_out = paths[
        data.manifest["split"].isin(["validation", "test"]).to_numpy()
    ]
    count = int(held_out.isin(set(seen)).sum())
    if count:
        raise ConfigError(
            f"Leak: `{setting}` {folder} was trained on {count:,} of the "
            f"{len(held_out):,} validation and test images.\nUse its split: "
            f"`split` {file}"
        )
