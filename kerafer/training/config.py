"""Everything that decides a training."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Interval

from kerafer.datasets.config import DataConfig
from kerafer.errors import ConfigError
from kerafer.untrusted import parse_yaml


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(DataConfig):
    """Settings of a training.

    The defaults follow the article's protocol (Adam, cross-entropy, early
    stopping on the validation loss) and add light augmentation. The recipe
    `paper` is the article's protocol.

    Raises:
        UserError: For a number out of its range.
    """

    GROUPS: ClassVar[Mapping[str, str]] = {
        "arch": "Model",
        "augment": "Augmentation",
        "epochs": "Optimization",
        "loss": "Loss and labels",
        "teacher": "Distillation",
        "prior_correction": "Predictions of the trained model",
        "precision": "Numerics",
    }

    arch: str = "wca_mcnn"
    """Architecture, one of kerafer.list_models()."""
    options: str | None = None
    """Options of the architecture, such as ratio=8,shared=false."""
    init_from: str | None = None
    """Run, export or .keras file with the initial weights."""
    freeze_until: str | None = None
    """Freeze all layers up to this one."""
    augment: Literal["none", "light", "strong", "robust"] = "light"
    """Random changes of the training images."""
    mix: Literal["none", "mixup", "cutmix", "both"] = "none"
    """Mix pairs of training images and their labels."""
    mix_alpha: Annotated[float, Gt(0)] = 0.2
    """Parameter of the Beta distribution of the mixing ratio."""
    epochs: Annotated[int, Ge(1)] = 200
    """Maximum number of epochs."""
    batch_size: Annotated[int, Ge(1)] = 32
    """Images per step."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """Optimizer."""
    learning_rate: Annotated[float, Gt(0)] = 1e-4
    """Peak learning rate."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate schedule."""
    warmup_epochs: Annotated[int, Ge(0)] = 0
    """Epochs of linear warmup before a cosine schedule."""
    weight_decay: Annotated[float, Ge(0)] = 0.0
    """Weight decay of kernels with adamw or sgd, times the learning rate."""
    ema: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Momentum of a moving average of the weights. 0 disables it."""
    patience: Annotated[int, Ge(0)] = 30
    """Stop after this many epochs without a better validation loss."""
    min_delta: Annotated[float, Ge(0)] = 1e-5
    """Smallest decrease of the validation loss that counts as better."""
    loss: Literal["own", "crossentropy"] = "own"
    """Loss. own is the loss of the architecture's authors, if they have
    one."""
    label_smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.0
    """Part of each label that is spread over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """Give rare classes more weight."""
    teacher: str | None = None
    """Runs or .keras files to distill from, separated by commas."""
    distill_alpha: Annotated[float, Interval(ge=0, le=1)] = 0.7
    """Weight of the teachers in the loss."""
    temperature: Annotated[float, Gt(0)] = 4.0
    """Temperature that softens the probabilities of the teachers."""
    precompute_teachers: bool = False
    """Run the teachers once, on unchanged and mirrored images, instead of in
    each step on the changed images."""
    prior_correction: Annotated[float, Interval(ge=0, le=1)] = 0.0
    """Divide the probabilities by this power of the class frequencies, so
    that rare classes are predicted more often."""
    calibrate: bool = False
    """Calibrate the probabilities on the validation images."""
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = (
        "auto"
    )
    """Number format. auto is bfloat16 or float16 if the hardware supports
    it."""
    deterministic: bool = False
    """Compute the same weights, bit for bit, from the same seed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.face_margin is not None and self.face_crop == "none":
            raise ConfigError("`face_margin` needs `face_crop`.")
        if self.warmup_epochs and self.schedule != "cosine":
            raise ConfigError("`warmup_epochs` needs `schedule` cosine.")
        if self.warmup_epochs and self.warmup_epochs >= self.epochs:
            raise ConfigError(
                f"`warmup_epochs` {self.warmup_epochs} must be less than "
                f"`epochs` {self.epochs}."
            )
        if self.optimizer == "adamw" and not self.weight_decay:
            raise ConfigError(
                "`optimizer` adamw needs a `weight_decay`, such as 0.01."
            )
        if self.optimizer == "adam" and self.weight_decay:
            raise ConfigError(
                "`weight_decay` needs `optimizer` adamw or sgd, not adam."
            )
        if self.freeze_until and not self.init_from:
            raise ConfigError("`freeze_until` needs `init_from`.")

    @property
    def teachers(self) -> tuple[str, ...]:
        """The teachers by name."""
        words = (self.teacher or "").split(",")
        return tuple(word.strip() for word in words if word.strip())

    @property
    def model_options(self) -> dict[str, object]:
        """The values in `options` by name.

        Raises:
            UserError: If `options` is not a list of names and values.
        """
        words = (self.options or "").replace("=", ": ")
        try:
            options = parse_yaml(f"{{{words}}}")
        except ValueError:
            options = None
        if not isinstance(options, dict) or None in options.values():
            raise ConfigError(
                "`options` must be a list such as ratio=8,shared=false or "
                f"kernel_sizes=[3,5]. Received: {self.options}."
            )
        return {str(name): _number(value) for name, value in options.items()}


def _number(value: object) -> object:
    """YAML takes 1e-3 for a word."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value
