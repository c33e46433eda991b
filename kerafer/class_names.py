"""Match class names that mean the same expression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kerafer.errors import UserError

# Words for one class in data sets and in what people type.
_WORDS = (
    "angry anger",
    "disgusted disgust disgusting",
    "fearful fear afraid scared",
    "happy happiness joy joyful enjoy enjoyment",
    "neutral neutrality",
    "sad sadness",
    "surprised surprise surprising",
    "contempt contemptuous",
    "bored boring boredom",
    "upset upsetting",
)
_SAME = {
    word.removesuffix("s"): words.partition(" ")[0]
    for words in _WORDS
    for word in words.split()
}


def tidy(name: str) -> str:
    """Strip a class name and collapse the blanks inside it."""
    return " ".join(name.split())


def same_word(name: str) -> str:
    """Return a key that all names of an expression share.

    Case, blanks, punctuation and the form of the word do not matter:
    `"Disgust"` or `"disgusted"`. Other names are tidied and casefolded.
    """
    folded = tidy(name).casefold()
    letters = "".join(filter(str.isalpha, folded))
    if any(map(str.isalnum, set(folded) - set(letters))):
        return folded
    return _SAME.get(letters.removesuffix("s"), folded)


def is_expression(name: str) -> bool:
    """Return whether a name is a word for an expression."""
    return same_word(name) in _SAME.values()


def match_classes(
    ours: Sequence[str], theirs: Sequence[str]
) -> list[int | None]:
    """Return for each name in `theirs` its index in `ours`, or `None`.

    Equal names are matched before names that mean the same expression.
    """
    found: list[int | None] = [None] * len(theirs)
    for key in (str, tidy, str.casefold, same_word):
        free = {
            key(name): place
            for place, name in enumerate(ours)
            if place not in found
        }
        for index, name in enumerate(theirs):
            if found[index] is None:
                found[index] = free.pop(key(name), None)
    return found


def column_order(
    model_names: Sequence[str],
    class_names: Sequence[str],
    all_shown: bool = True,
) -> np.ndarray:
    """Return the index of the model's output for each class of a data set.

    Args:
        model_names: Classes in the order of the model's outputs.
        class_names: Classes of the data set.
        all_shown: Whether the data set must have every class of the model.
            Default: `True`.

    Raises:
        UserError: If the classes do not match.
    """
    order = match_classes(model_names, class_names)
    more = len(model_names) != len(class_names)
    if None in order or (more and all_shown):
        raise UserError(
            "The classes of model and data set differ.\n"
            f"The model has {len(model_names)}: {', '.join(model_names)}.\n"
            f"The data has {len(class_names)}: {', '.join(class_names)}."
        )
    return np.array(order)
