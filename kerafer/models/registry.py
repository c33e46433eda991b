"""Models by name."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import inspect
import numbers
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras

from kerafer.errors import UserError, did_you_mean
from kerafer.models.losses import MakeObjective, plain

Builder = Callable[..., keras.Model]


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """Facts about a model.

    Args:
        name: For `create_model`.
        builder: Called with `num_classes`, `input_shape` and its options;
            returns a `keras.Model`.
        options: Names and types of the builder's options.
        reference: The publication. Default: none.
        objective: Makes the loss of its authors from the loss of the
            probabilities. Default: that loss alone.
        recommended_size: Least and largest side of the images in its
            publication, in pixels. Default: any.
        least_size: Least side in pixels and the reason for it, such as
            `"its three poolings"`. Default: none.
    """

    name: str
    builder: Builder
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reference: str | None = None
    objective: MakeObjective = plain
    recommended_size: tuple[int, int] | None = None
    least_size: tuple[int, str] | None = None

    def check_size(self, size: tuple[int, int]) -> None:
        """Refuse images that are too small.

        Raises:
            UserError: If a side is below the least size.
        """
        least, reason = self.least_size or (1, "")
        if min(size) < least:
            raise UserError(
                f"{self.name} needs images of at least {least} x {least} "
                f"pixels for {reason}. Received: {size[0]} x {size[1]}."
            )

    def size_note(self, size: int) -> str | None:
        """Return a note for users of another size than recommended."""
        if self.recommended_size is None:
            return None
        least, most = self.recommended_size
        if least <= size <= most:
            return None
        sides = f"{least}" if least == most else f"{least} to {most}"
        return (
            f"{self.name} was made for images of {sides} pixels a side; these "
            f"have {size}."
        )


_SPECS: dict[str, ModelSpec] = {}


def add_model(spec: ModelSpec) -> None:
    """Make a model available under its name.

    Raises:
        ValueError: If the name is taken.
    """
    if spec.name in _SPECS:
        raise ValueError(f"The model name {spec.name!r} is already taken.")
    _SPECS[spec.name] = spec


def register_model(
    builder: Builder | None = None,
    **facts: Any,
) -> Builder | Callable[[Builder], Builder]:
    """Register a builder function under its own name.

    A decorator, with or without arguments:

        @register_model
        @register_model(objective=diverse_heads)

    The options of the model are the function's parameters after the first
    two, including those of `**options: Unpack[...]` of a `TypedDict`. Its
    reference is the `Reference:` of the docstring.

    Args:
        builder: As in `ModelSpec`.
        **facts: Others of `ModelSpec`.

    Raises:
        ValueError: If a name is taken.
    """
    if builder is None:
        return functools.partial(register_model, **facts)
    _, _, reference = (inspect.getdoc(builder) or "").partition(
        "\nReference:\n"
    )
    spec = ModelSpec(
        builder.__name__,
        builder,
        _options(builder),
        " ".join(reference.split()) or None,
        **facts,
    )
    add_model(spec)
    return builder


def list_models(pattern: str = "*") -> list[str]:
    """List the models that match a shell pattern, such as `"*wca*"`."""
    return sorted(fnmatch.filter(_SPECS, pattern))


def create_model(
    name: str,
    num_classes: int = 7,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    **options: Any,
) -> keras.Model:
    """Build an untrained model.

    The model takes RGB (or gray) images with values 0 to 255, uint8 or float,
    of shape `(batch, *input_shape)`, and returns probabilities of shape
    `(batch, num_classes)`. It scales the values; it does not augment.

    Args:
        name: One of `list_models()`.
        num_classes: Outputs, 2 or more. Default: 7.
        input_shape: `(height, width, channels)` with 1 or 3 channels. Default:
            `(224, 224, 3)`.
        **options: Options of the model, such as `ratio=8` or `attention="se"`
            for those with wCA, `kernel_sizes=5` for those with the multi-scale
            stem.

    Raises:
        UserError: If the name or an option is unknown, the model does not
            accept a value or the shape, or there are fewer than two classes.

    Example:
        >>> create_model("wca_mcnn", num_classes=5).output_shape
        (None, 5)
    """
    spec = find_model(name, **options)
    if not isinstance(num_classes, numbers.Integral) or num_classes < 2:
        raise UserError(
            "`num_classes` must be a whole number, 2 or more. "
            f"Received: {num_classes!r}."
        )
    shape = tuple(input_shape) if isinstance(input_shape, Iterable) else ()
    if (
        len(shape) != 3
        or not all(isinstance(n, numbers.Integral) and n > 0 for n in shape)
        or shape[-1] not in (1, 3)
    ):
        raise UserError(
            "`input_shape` must be (height, width, channels) with 1 or 3 "
            f"channels. Received: {input_shape}."
        )
    spec.check_size((shape[0], shape[1]))
    height, width, channels = map(int, shape)
    shape = (height, width, channels)
    try:
        return spec.builder(int(num_classes), shape, **options)
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        given = ", ".join(
            f"{name}={value!r}" for name, value in options.items()
        )
        raise UserError(
            f"Cannot build {spec.name} with {given or shape}: {error}"
        ) from error


def find_model(name: str, /, **options: Any) -> ModelSpec:
    """Return the facts about a model that has all of these options.

    Raises:
        UserError: If the name or an option is unknown, or a value is of
            another type than the option.
    """
    name = name if isinstance(name, str) else str(name)
    if name not in _SPECS:
        hint = did_you_mean(name, _SPECS, cutoff=0.5)
        raise UserError(
            f"Unknown model {name!r}. Choose one of {', '.join(list_models())}."
            f"{hint}"
        )
    spec = _SPECS[name]
    unknown = [option for option in options if option not in spec.options]
    if unknown:
        raise UserError(
            f"Unknown options of {name}: {', '.join(unknown)}. It has "
            f"{', '.join(spec.options) or 'none'}."
        )
    for option, value in options.items():
        _check_type(name, option, value, spec.options[option])
    return spec


def _options(builder: Builder) -> dict[str, Any]:
    """Names and types of a builder's options."""
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


_NOUNS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
}


def _check_type(name: str, option: str, value: Any, hint: Any) -> None:
    """Refuse a word for a number before any image is read."""
    kinds = set(typing.get_args(hint) or (hint,))
    nouns = [noun for kind, noun in _NOUNS.items() if kind in kinds]
    if not kinds <= {*_NOUNS, type(None)} or type(value) in kinds:
        return
    if float in kinds and type(value) is int:
        return
    raise UserError(
        f"`{option}` of {name} must be {' or '.join(nouns)}. "
        f"Received: {option}={value}."
    )
