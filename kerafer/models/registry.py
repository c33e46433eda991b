"""Models by name."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import inspect
import numbers
import typing
from collections.abc import Callable, Iterable
from typing import Any

import keras

from kerafer.errors import UserError, did_you_mean
from kerafer.models.objective import MakeObjective, plain

Builder = Callable[..., keras.Model]


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """What the package knows of a model.

    Args:
        builder: Called with `num_classes`, `input_shape` and its own options;
            returns a `keras.Model`. Options may be parameters of its own, or
            `**options: Unpack[...]` of a `TypedDict`.
        objective: What its authors minimise, made of the loss of
            probabilities. Defaults to that loss.
        made_for: Least and largest side of the images that its authors show
            it, in pixels. Defaults to any.
        least_size: Pixels a side without which it can't be built, and the
            reason, such as `"its three poolings"`. Defaults to none.
    """

    builder: Builder
    objective: MakeObjective = plain
    made_for: tuple[int, int] | None = None
    least_size: tuple[int, str] | None = None

    @property
    def reference(self) -> str | None:
        """Where it is from: the `Reference:` of the builder's docstring."""
        text = inspect.getdoc(self.builder) or ""
        _, _, found = text.partition("\nReference:\n")
        return " ".join(found.split()) or None

    def check_size(self, size: tuple[int, int]) -> None:
        """Refuse images that are too small.

        Raises:
            UserError: For those.
        """
        least, reason = self.least_size or (1, "")
        if min(size) < least:
            raise UserError(
                f"{self.builder.__name__} needs images of at least {least} x "
                f"{least} pixels for {reason}. Received: {size[0]} x {size[1]}."
            )

    def size_note(self, size: int) -> str | None:
        """What one should know who shows it images of another size."""
        if self.made_for is None:
            return None
        least, most = self.made_for
        if least <= size <= most:
            return None
        sides = f"{least}" if least == most else f"{least} to {most}"
        return (
            f"{self.builder.__name__} was made for images of {sides} pixels a "
            f"side; these have {size}."
        )


_SPECS: dict[str, ModelSpec] = {}
_ALIASES: dict[str, str] = {}


def register_model(
    builder: Builder | None = None,
    *,
    alias: str | None = None,
    **facts: Any,
) -> Builder | Callable[[Builder], Builder]:
    """Make a builder function known under its own name.

    A decorator, with or without arguments:

        @register_model
        @register_model(alias="ddmafn", objective=heads_apart)

    Args:
        builder: As for `ModelSpec`.
        alias: A second name that `create_model` takes and `list_models` does
            not give. Defaults to none.
        **facts: The others of `ModelSpec`.

    Raises:
        ValueError: Where a name is taken.
    """
    if builder is None:
        return functools.partial(register_model, alias=alias, **facts)
    name = builder.__name__
    for new in (name, alias):
        if new in _SPECS or new in _ALIASES:
            raise ValueError(f"A model's name is given once. Received: {new!r}")
    _SPECS[name] = ModelSpec(builder, **facts)
    if alias is not None:
        _ALIASES[alias] = name
    return builder


def list_models(pattern: str = "*") -> list[str]:
    """Names of all models that match a shell pattern, such as `"*wca*"`."""
    return sorted(fnmatch.filter(_SPECS, pattern))


def create_model(
    name: str,
    num_classes: int = 7,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    **options: Any,
) -> keras.Model:
    """Build an untrained model.

    The model takes RGB (or gray) images with values 0 to 255, uint8 or
    float, of shape `(batch, *input_shape)`, and returns probabilities of shape
    `(batch, num_classes)`. Scaling is inside, augmentation is not.

    Args:
        name: One of `list_models()`, or an alias.
        num_classes: Outputs, 2 or more. Defaults to 7.
        input_shape: `(height, width, channels)` with 1 or 3 channels. Defaults
            to `(224, 224, 3)`.
        **options: The builder's own, such as `ratio=8` or
            `attention="se"` for those with wCA, `kernel_sizes=5` for those
            with the multi-scale stem.

    Raises:
        UserError: For an unknown name or option, fewer than two classes, or a
            shape that the model can't take.

    Example:
        >>> create_model("wca_mcnn", num_classes=5).output_shape
        (None, 5)
    """
    spec = find_spec(name, **options)
    if not isinstance(num_classes, numbers.Integral) or num_classes < 2:
        raise UserError(
            "`num_classes` is a whole number, 2 or more. "
            f"Received: {num_classes!r}."
        )
    shape = tuple(input_shape) if isinstance(input_shape, Iterable) else ()
    if (
        len(shape) != 3
        or not all(isinstance(n, numbers.Integral) and n > 0 for n in shape)
        or shape[-1] not in (1, 3)
    ):
        raise UserError(
            "`input_shape` is (height, width, channels) with 1 or 3 channels. "
            f"Received: {input_shape}."
        )
    spec.check_size((shape[0], shape[1]))
    height, width, channels = map(int, shape)
    return spec.builder(int(num_classes), (height, width, channels), **options)


def find_spec(name: str, /, **options: Any) -> ModelSpec:
    """What is known of a model, which takes all of these options.

    Raises:
        UserError: For an unknown name or option, or one of another kind.
    """
    name = _ALIASES.get(name, name) if isinstance(name, str) else str(name)
    if name not in _SPECS:
        hint = did_you_mean(name, _SPECS, cutoff=0.5)
        raise UserError(
            f"The models are {', '.join(list_models())}. "
            f"Received: {name}.{hint}"
        )
    spec = _SPECS[name]
    known = _options(spec.builder)
    unknown = [option for option in options if option not in known]
    if unknown:
        raise UserError(
            f"The options of {name} are {', '.join(known) or 'none'}. "
            f"Received: {', '.join(unknown)}."
        )
    for option, value in options.items():
        _check_kind(name, option, value, known[option])
    return spec


def _options(builder: Builder) -> dict[str, Any]:
    """The names of a builder's options, with their types."""
    found: dict[str, Any] = {}
    hints = typing.get_type_hints(builder)
    for parameter in list(inspect.signature(builder).parameters.values())[2:]:
        hint = hints.get(parameter.name, Any)
        if parameter.kind is parameter.VAR_KEYWORD:
            for options in typing.get_args(hint):
                found |= typing.get_type_hints(options)
        else:
            found[parameter.name] = hint
    return found


def _check_kind(name: str, option: str, value: Any, hint: Any) -> None:
    """Refuse a word for a number; what else is wrong, the builder says."""
    kinds = {
        kind: noun
        for kind, noun in _NOUNS.items()
        if kind in (typing.get_args(hint) or (hint,))
    }
    others = set(typing.get_args(hint) or (hint,)) - set(kinds)
    if not kinds or others - {type(None)} or (value is None and others):
        return
    whole = isinstance(value, float) and value.is_integer()
    if type(value) in kinds or (
        (float in kinds and type(value) is int) or (int in kinds and whole)
    ):
        return
    raise UserError(
        f"{name}'s `{option}` is {' or '.join(kinds.values())}. Received: "
        f"{option}={value}."
    )


_NOUNS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
}
