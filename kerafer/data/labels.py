"""The classes that folders stand for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from kerafer.class_names import same_word
from kerafer.data.scan import find_pictures
from kerafer.errors import UserError


def folder_labels(
    folders: Iterable[tuple[str | None, Path]], classes: Sequence[str]
) -> dict[Path, str]:
    """Match names of folders to the classes of a published set.

    Args:
        folders: What `scan.class_folders` returns.
        classes: The names of the set's classes. Capitals, punctuation, a
            plural "s" and words of the same meaning do not matter.

    Returns:
        The class of every folder; those of another name that hold no image
        are not in it.

    Raises:
        UserError: If a folder of another name holds images.
    """
    words = {same_word(label): label for label in classes}
    labels, unknown = {}, []
    for _, folder in folders:
        letters = "".join(filter(str.isalpha, folder.name))
        label = words.get(same_word(letters))
        if label is None and find_pictures(folder):
            unknown.append(folder.name)
        labels[folder] = label
    if unknown:
        raise UserError(
            f"The folders are called {', '.join(classes)}. "
            f"Received: {', '.join(sorted(set(unknown)))}."
        )
    return labels
