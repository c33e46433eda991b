"""The model that a training starts with, and its teachers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from kerafer.class_names import column_order, match_classes
from kerafer.console import console
from kerafer.errors import ConfigError, UserError
from kerafer.faces import MARGIN
from kerafer.inference import ModelBundle, ModelSource
from kerafer.model_files import model_path
from kerafer.training.config import TrainingConfig
from kerafer.training.run_folder import RunFolder

if TYPE_CHECKING:
    import keras

    from kerafer.training.distillation import Distillation
    from kerafer.workflows.split_dataset import SplitDataset


def with_face_margin(config: TrainingConfig) -> TrainingConfig:
    """The settings, with faces cut out as the start of the training saw them.

    Where `face_crop` is on and `face_margin` is left out, it is that of
    `init_from`, if anything tells it.

    Raises:
        UserError: For anything else than settings.
    """
    if not isinstance(config, TrainingConfig):
        raise UserError(
            "The settings of a training are a `kerafer.TrainingConfig`, such "
            'as kerafer.TrainingConfig(dataset="kdef"). Received: '
            f"{type(config).__name__}."
        )
    asked = config.face_crop != "none" and config.face_margin is None
    if not (asked and config.init_from):
        return config
    margin = ModelSource.find(config.init_from, keras_only=True).crop_margin
    if margin in (None, MARGIN):
        return config
    console.print(
        f"Faces are cut out with a margin of {margin:g}, as "
        f"{config.init_from} saw them."
    )
    return dataclasses.replace(config, face_margin=margin)


def starting_model(config: TrainingConfig, data: SplitDataset) -> keras.Model:
    """Make the model, with the weights of `init_from` where there is one.

    Args:
        config: Names the model, its options and where weights come from.
        data: Name the classes; those of the test and validation parts must
            be unseen by `init_from`.

    Raises:
        UserError: For options that the model does not have, weights that do
            not fit, or images that were trained on.
    """
    model = _untrained(config, len(data.dataset.class_names))
    if not config.init_from:
        return model
    from kerafer.models import load_model
    from kerafer.models.transfer import copy_weights, freeze_until

    _check_over(config.init_from, "init_from")
    _check_unseen(config.init_from, "init_from", data)
    source = load_model(config.init_from)
    done = copy_weights(
        model, source, _classifiers(config.init_from, source, model, data)
    )
    console.print(
        f"Weights of {len(done.copied)} layers from {config.init_from}; "
        f"fresh: {', '.join(done.fresh) or 'none'}."
    )
    if config.freeze_until:
        freeze_until(model, config.freeze_until, done.fresh)
    return model


def load_teachers(
    config: TrainingConfig, data: SplitDataset
) -> Distillation | None:
    """The teachers that a configuration names; `None` without any.

    Args:
        config: Names them, and their share and temperature.
        data: Name the student's classes, and what the teachers must not
            have seen.

    Raises:
        UserError: For other classes, or images that a teacher trained on.
    """
    if not config.teachers:
        return None
    from kerafer.training.distillation import Distillation

    teachers, orders = [], []
    for name in config.teachers:
        _check_over(name, "teacher")
        _check_unseen(name, "teacher", data)
        bundle = ModelBundle.load(name, keras_only=True)
        teacher = bundle.keras_model_of_pixels()
        teacher.trainable = False
        orders.append(column_order(bundle.labels, data.dataset.class_names))
        teachers.append(teacher)
    return Distillation(
        teachers, orders, config.distill_alpha, config.temperature
    )


def _untrained(config: TrainingConfig, num_classes: int) -> keras.Model:
    from kerafer.models import create_model

    options = config.model_options
    shape = (config.image_size, config.image_size, config.channels)
    try:
        return create_model(config.arch, num_classes, shape, **options)
    except (ValueError, TypeError) as error:
        if isinstance(error, UserError) or not options:
            raise
        raise ConfigError(f"`options` {config.options}: {error}") from error


def _classifiers(
    name: str, source: keras.Model, model: keras.Model, data: SplitDataset
) -> list[str]:
    """The layers whose outputs are classes, if the source has other ones."""
    labels = ModelSource.find(name, keras_only=True).labels or ()
    if len(labels) != source.output_shape[-1]:
        labels = ()
    names = data.dataset.class_names
    if match_classes(labels, names) == [*range(len(labels))]:
        return []
    return [x.name for x in model.layers if x.name.endswith("logits")]


def _check_over(model: str, setting: str) -> None:
    run = RunFolder(Path(model))
    if run.config.exists() and not run.is_over:
        raise ConfigError(
            f"`{setting}` takes a run that is over. Received: {model}, which "
            f"broke off or is still going on.\nkerafer train --resume {model} "
            "goes on with it."
        )


def _check_unseen(model: str, setting: str, data: SplitDataset) -> None:
    from kerafer.training.leakage import check_unseen

    path = model_path(model)
    check_unseen(
        path if path.is_dir() else path.parent,
        data.dataset.name,
        data.dataset.manifest["path"],
        data.split,
        setting,
    )
