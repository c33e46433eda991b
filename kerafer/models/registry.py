"""Models by name."""

from __future__ import annotations

import fnmatch
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

import keras

from kerafer.errors import UserError, did_you_mean
from kerafer.models.objective import MakeObjective, plain

Builder = Callable[..., keras.Model]

_BUILDERS: dict[str, Builder] = {}
_OBJECTIVES: dict[str, MakeObjective] = {}
_ALIASES: dict[str, str] = {}


def register_model(
    builder: Builder | None = None,
    alias: str | None = None,
    objective: MakeObjective | None = None,
) -> Builder | Callable[[Builder], Builder]:
    """Make a builder function known under its own name.

    A decorator, with or without arguments:

        @register_model
        @register_model(alias="ddmafn", objective=heads_apart)

    Args:
        builder: Called with `num_classes`, `input_shape` and its own options;
            returns a `keras.Model`. Options may be parameters of its own, or
            `**options: Unpack[...]` of a `TypedDict`.
        alias: A second name that `create_model` takes and `list_models` does
            not give. Defaults to none.
        objective: What its authors minimise, made of the loss of
            probabilities. Defaults to that loss.

    Raises:
        ValueError: Where a name is taken.
    """
    if builder is None:
        return functools.partial(
            register_model, alias=alias, objective=objective
        )
    name = builder.__name__
    for new in (name, alias):
        if new in _BUILDERS or new in _ALIASES:
            raise ValueError(f"A model's name is given once. Received: {new!r}")
    _BUILDERS[name] = builder
    _OBJECTIVES[name] = plain if objective is None else objective
    if alias is not None:
        _ALIASES[alias] = name
    return builder


def list_models(pattern: str = "*") -> list[str]:
    """Names of all models that match a shell pattern, such as `"*wca*"`."""
    return sorted(fnmatch.filter(_BUILDERS, pattern))


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
    builder = find_builder(name, options)
    if not isinstance(num_classes, int) or num_classes < 2:
        raise UserError(
            "A model tells two or more classes apart. "
            f"Received: num_classes={num_classes}."
        )
    shape = tuple(input_shape)
    if (
        len(shape) != 3
        or not all(isinstance(n, int) and n > 0 for n in shape)
        or shape[-1] not in (1, 3)
    ):
        raise UserError(
            "`input_shape` is (height, width, channels) with 1 or 3 channels. "
            f"Received: {input_shape}."
        )
    return builder(num_classes, shape, **options)


def find_builder(name: str, options: dict[str, Any]) -> Builder:
    """The builder of a model, which takes all of these options.

    Raises:
        UserError: For an unknown name or option, or one of another kind.
    """
    name = _ALIASES.get(name, name)
    if name not in _BUILDERS:
        hint = did_you_mean(name, _BUILDERS, cutoff=0.5)
        raise UserError(
            f"The models are {', '.join(list_models())}. "
            f"Received: {name}.{hint}"
        )
    builder = _BUILDERS[name]
    known = _options(builder)
    unknown = [option for option in options if option not in known]
    if unknown:
        raise UserError(
            f"The options of {name} are {', '.join(known) or 'none'}. "
            f"Received: {', '.join(unknown)}."
        )
    for option, value in options.items():
        _check_kind(name, option, value, known[option])
    return builder


def find_objective(name: str) -> MakeObjective:
    """What the authors of a model minimise, as `register_model` was told.

    Raises:
        UserError: For an unknown name.
    """
    return _OBJECTIVES[find_builder(name, {}).__name__]


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
