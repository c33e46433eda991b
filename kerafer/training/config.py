"""Everything that decides a training."""

from __future__ import annotations

import contextlib
import dataclasses

from kerafer.datasets.config import DataConfig
from kerafer.errors import ConfigError
from kerafer.foreign import parse_yaml
from kerafer.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(DataConfig):
    """Settings of a training.

    The defaults follow the article's protocol (Adam, cross-entropy, early
    stopping on the validation loss) and add light augmentation. The recipe
    `paper` is the article's protocol.

    Raises:
        UserError: For a number out of its range.
    """

    arch: str = setting(
        "wca_mcnn",
        "model, one of kerafer.list_models()",
        metavar="NAME",
        group="model",
    )
    options: str | None = setting(
        None,
        "options of the model's builder, such as ratio=8,shared=false",
        metavar="NAME=X",
        group="model",
    )
    init_from: str | None = setting(
        None,
        "a .keras file or run whose weights the model starts with",
        metavar="PATH",
        group="model",
    )
    freeze_until: str | None = setting(
        None,
        "layer up to which the weights stay as they start",
        metavar="LAYER",
        group="model",
    )
    augment: str = setting(
        "light",
        "random changes of the training images",
        ("none", "light", "strong", "robust"),
        group="augmentation",
    )
    mix: str = setting(
        "none",
        "whether training images and their labels are mixed in pairs",
        ("none", "mixup", "cutmix", "both"),
        group="augmentation",
    )
    mix_alpha: float = setting(
        0.2,
        "of the Beta distribution of their shares",
        above=0,
        group="augmentation",
    )
    epochs: int = setting(
        200, "at most this many", least=1, group="optimisation"
    )
    batch_size: int = setting(
        32, "images a step", least=1, group="optimisation"
    )
    optimizer: str = setting(
        "adam",
        "how the weights are changed",
        ("adam", "adamw", "sgd"),
        group="optimisation",
    )
    learning_rate: float = setting(
        1e-4, "of the optimizer, at its highest", above=0, group="optimisation"
    )
    schedule: str = setting(
        "constant",
        "of the learning rate",
        ("constant", "cosine"),
        group="optimisation",
    )
    warmup_epochs: int = setting(
        0,
        "epochs in which a cosine schedule rises from 0",
        least=0,
        group="optimisation",
    )
    weight_decay: float = setting(
        0.0,
        "of adamw or sgd, on kernels alone, times the learning rate",
        least=0,
        group="optimisation",
    )
    loss: str = setting(
        "own",
        "own is that of the model's authors, where they have one",
        ("own", "crossentropy", "focal"),
        group="loss and labels",
    )
    label_smoothing: float = setting(
        0.0,
        "share of a label given to all",
        least=0,
        below=1,
        group="loss and labels",
    )
    ema: float = setting(
        0.0,
        "momentum of a running average of the weights; 0 is none",
        least=0,
        below=1,
        group="optimisation",
    )
    teacher: str | None = setting(
        None,
        "runs or .keras files to learn from, with commas between",
        metavar="PATHS",
        group="distillation",
    )
    distill_alpha: float = setting(
        0.7,
        "share of the teachers in the loss",
        least=0,
        most=1,
        group="distillation",
    )
    temperature: float = setting(
        4.0, "that softens what the teachers say", above=0, group="distillation"
    )
    ask_teachers: str = setting(
        "steps",
        "when teachers answer: in all steps, of the changed images, or once, "
        "of the images as they are and mirrored, which costs steps nothing",
        ("steps", "once"),
        group="distillation",
    )
    patience: int = setting(
        30,
        "epochs without a better validation loss before it stops",
        least=0,
        group="early stopping",
    )
    min_delta: float = setting(
        1e-5,
        "least change that counts as better",
        least=0,
        group="early stopping",
    )
    class_weights: str = setting(
        "none",
        "whether rare classes weigh more",
        ("none", "balanced"),
        group="loss and labels",
    )
    prior_correction: float = setting(
        0.0,
        "power of the classes' shares in the training labels that the trained "
        "model's answers are divided by, so that rare ones are named more",
        least=0,
        most=1,
        group="predictions of the trained model",
    )
    calibrate: bool = setting(
        False,
        "scale the classifier in the end, so that its probabilities are as "
        "high as it is right on validation images",
        group="predictions of the trained model",
    )
    precision: str = setting(
        "auto",
        "number format; auto is bfloat16 where the hardware computes in it",
        ("auto", "float32", "mixed_bfloat16", "mixed_float16"),
        group="numbers",
    )
    deterministic: bool = setting(
        False,
        "the same seed gives the same weights, bit for bit",
        group="numbers",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_together()

    def _check_together(self) -> None:
        """Refuse settings that one would wait for in vain."""
        if self.face_margin is not None and self.face_crop == "none":
            raise ConfigError(
                "`face_margin` is of faces that `face_crop` cuts out. "
                "Received: no `face_crop`."
            )
        if self.warmup_epochs and self.schedule != "cosine":
            raise ConfigError(
                "`warmup_epochs` belongs to `schedule` cosine. "
                f"Received: `schedule` {self.schedule}."
            )
        if self.warmup_epochs >= self.epochs and self.warmup_epochs:
            raise ConfigError(
                "`warmup_epochs` is less than `epochs`. Received: "
                f"{self.warmup_epochs} of {self.epochs}.\n"
                f"`warmup_epochs` {self.epochs // 10} goes with so few."
            )
        if self.optimizer == "adamw" and not self.weight_decay:
            raise ConfigError(
                "AdamW is Adam with weight decay; without, it is adam. "
                "Give `weight_decay`, such as 0.01."
            )
        if self.optimizer == "adam" and self.weight_decay:
            raise ConfigError(
                "`weight_decay` belongs to `optimizer` adamw or sgd. "
                "Received: `optimizer` adam."
            )
        if self.freeze_until and not self.init_from:
            raise ConfigError(
                "`freeze_until` keeps weights that `init_from` brings. "
                "Received: no `init_from`."
            )

    @property
    def teachers(self) -> tuple[str, ...]:
        """The files and folders that `teacher` names."""
        words = (self.teacher or "").split(",")
        return tuple(word.strip() for word in words if word.strip())

    @property
    def model_options(self) -> dict[str, object]:
        """What `options` says, by name.

        Raises:
            UserError: Where it is no list of names and values.
        """
        words = (self.options or "").replace("=", ": ")
        try:
            options = parse_yaml(f"{{{words}}}")
        except ValueError:
            options = None
        if not isinstance(options, dict) or None in options.values():
            raise ConfigError(
                "`options` is a list such as ratio=8,shared=false or "
                f"kernel_sizes=[3,5]. Received: {self.options}."
            )
        return {str(name): _number(value) for name, value in options.items()}


def _number(value: object) -> object:
    """YAML takes 1e-3 for a word."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value
