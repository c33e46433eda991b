"""Which names of expressions mean the same class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kerafer.errors import UserError

# The words that one class goes by, in data sets and in what people type.
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


def tidy(name: str) -> str:
    """A class's name without blanks around it, and with one between words."""
    return " ".join(name.split())


def same_word(name: str) -> str:
    """What is equal for all names of a class.

    Capitals, blanks and punctuation do not matter, nor whether it is
    `"disgust"` or `"disgusted"`. Names of other classes are left as they are
    but for capitals and blanks around.
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
    """Find the classes of one list in another.

    Names that are equal belong together before those that mean the same.

    Args:
        ours: Names, each once.
        theirs: Likewise.

    Returns:
        For each of `theirs` its place in `ours`, or `None` where it is not
        there.
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


_SAME = {
    word.removesuffix("s"): words.partition(" ")[0]
    for words in _WORDS
    for word in words.split()
}


def column_order(
    model_names: Sequence[str],
    class_names: Sequence[str],
    all_shown: bool = True,
) -> np.ndarray:
    """Which output of a model is which class of a data set.

    Args:
        model_names: The classes in the order of the model's outputs.
        class_names: Those of the data set.
        all_shown: Whether the model may know no class beside them. Defaults to
            `True`.

    Returns:
        For every class of the data set the index of the model's output.

    Raises:
        UserError: Where they are not the same classes, as `match_classes`
            understands them.
    """
    order = match_classes(model_names, class_names)
    more = len(model_names) != len(class_names)
    if None in order or (more and all_shown):
        raise UserError(
            "A model is evaluated on images of its own classes.\n"
            f"The model has {len(model_names)}: {', '.join(model_names)}.\n"
            f"The data has {len(class_names)}: {', '.join(class_names)}."
        )
    return np.array(order)
