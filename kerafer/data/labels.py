"""The classes that folders stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from kerafer.data.scan import find_pictures
from kerafer.errors import UserError


def folder_labels(
    folders: Iterable[tuple[str | None, Path]], classes: Mapping[str, str]
) -> dict[Path, str]:
    """Match names of folders to the classes of a published set.

    Args:
        folders: What `scan.class_folders` returns.
        classes: For each class the other words it goes by, divided by
            spaces. Capitals, punctuation and a plural "s" do not matter.

    Returns:
        The class of every folder; those of another name that hold no picture
        are not in it.

    Raises:
        UserError: If a folder of another name holds pictures.
    """
    words = {
        _plain(word): label
        for label, others in classes.items()
        for word in (label, *others.split())
    }
    labels, unknown = {}, []
    for _, folder in folders:
        label = words.get(_plain(folder.name))
        if label is None and find_pictures(folder):
            unknown.append(folder.name)
        labels[folder] = label
    if unknown:
        raise UserError(
            f"The folders are called {', '.join(classes)}. "
            f"Received: {', '.join(sorted(set(unknown)))}."
        )
    return labels


def _plain(word: str) -> str:
    letters = "".join(filter(str.isalpha, word.casefold()))
    return letters.removesuffix("s")
