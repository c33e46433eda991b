"""Everything that decides a training."""

from __future__ import annotations

import dataclasses

from kerafer.data.config import DataConfig
from kerafer.errors import UserError
from kerafer.settings import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(DataConfig):
    """A training's settings. The defaults are the article's protocol where it
    names one: Adam, cross-entropy, early stopping on the validation loss.

    Raises:
        UserError: For a number out of its range.
    """

    arch: str = setting("wca_mcnn", "model, one of kerafer.list_models()")
    options: str | None = setting(
        None, "options of the model's builder, such as ratio=8,shared=false"
    )
    augment: str = setting(
        "light",
        "random changes of the training pictures",
        ("none", "light", "strong"),
    )
    epochs: int = setting(200, "at most this many")
    batch_size: int = setting(32, "pictures a step")
    learning_rate: float = setting(1e-4, "of Adam")
    patience: int = setting(
        30, "epochs without a better validation loss before it stops"
    )
    min_delta: float = setting(1e-5, "least change that counts as better")
    class_weights: str = setting(
        "none", "whether rare classes weigh more", ("none", "balanced")
    )
    precision: str = setting(
        "auto",
        "number format; auto is bfloat16 where the hardware computes in it",
        ("auto", "float32", "mixed_bfloat16", "mixed_float16"),
    )
    deterministic: bool = setting(
        False, "the same seed gives the same weights, bit for bit"
    )

    def __post_init__(self) -> None:
        for name, least in (
            ("image_size", 1),
            ("epochs", 1),
            ("batch_size", 1),
            ("patience", 0),
            ("min_delta", 0),
            ("seed", 0),
        ):
            value = getattr(self, name)
            if not value >= least:
                flag = name.replace("_", "-")
                raise UserError(
                    f"--{flag} is at least {least}. Received: {value}."
                )
        if not self.learning_rate > 0:
            raise UserError(
                "--learning-rate is more than 0. "
                f"Received: {self.learning_rate}."
            )
        if self.channels not in (1, 3):
            raise UserError(f"--channels is 3 or 1. Received: {self.channels}.")

    @property
    def model_options(self) -> dict[str, object]:
        """What `options` says, by name.

        Raises:
            UserError: Where it is no list of names and values.
        """
        import yaml

        words = (self.options or "").replace("=", ": ")
        try:
            options = yaml.safe_load(f"{{{words}}}")
        except yaml.YAMLError:
            options = None
        if not isinstance(options, dict) or None in options.values():
            raise UserError(
                "--options is a list such as ratio=8,shared=false or "
                f"kernel_sizes=[3,5]. Received: {self.options}."
            )
        return {str(name): value for name, value in options.items()}
