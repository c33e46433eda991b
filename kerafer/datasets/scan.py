"""Find the images below a folder, with their classes and splits."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kerafer.class_names import same_word
from kerafer.console import console
from kerafer.datasets.dataset import skipped_table
from kerafer.errors import UserError, some_of
from kerafer.images import SUFFIXES, describe_kinds

if TYPE_CHECKING:
    import pandas as pd

_SPLIT_NAME = re.compile(
    # Digits and general words around the split's own: 1_train, data-test.
    r"[0-9]*(?:data|images?|set)*"
    r"(?:(?P<train>train(?:ing)?)"
    r"|(?P<validation>val(?:id(?:ation)?)?|dev(?:el(?:opment)?)?|publictest)"
    r"|(?P<test>test(?:ing)?|privatetest))"
    r"(?:data|images?|imgs?|(?:sub)?sets?|split|folder|faces)*"
)


def split_of(name: str) -> str | None:
    """Return `"train"`, `"validation"` or `"test"` for a name of a split.

    Capitals, punctuation and words such as "set" or "data" do not matter:
    `Training_Set`, `valid-data`, `dev` and `TestImages` are understood.

    Args:
        name: Of a folder, or from a column of a table.

    Returns:
        `None` for any other name.
    """
    letters = re.sub(r"[\W_]", "", name.casefold())
    match = _SPLIT_NAME.fullmatch(letters)
    return match and match.lastgroup


def entries(folder: Path) -> list[Path]:
    """Return what is in a folder, sorted, without hidden entries."""
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(
            f"Cannot read the folder {folder}: {error.strerror}."
        ) from None
    return [p for p in found if not p.name.startswith((".", "__MACOSX"))]


def subfolders(folder: Path) -> list[Path]:
    """Return the folders directly in a folder, sorted."""
    return [p for p in entries(folder) if os.path.isdir(p)]


def find_files(
    folder: Path, seen: frozenset[tuple[int, int]] = frozenset()
) -> list[Path]:
    """Return all files in a folder and in those below it, sorted.

    Symbolic links are followed, but not back into a folder that is being
    listed already.
    """
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    found: list[Path] = []
    for path in entries(folder) if here not in seen else []:
        if os.path.isdir(path):
            found += find_files(path, seen | {here})
        else:
            found.append(path)
    return found


def is_image_file(path: Path) -> bool:
    """Return whether a file's name ends like an image's."""
    return path.suffix.lower() in SUFFIXES


def find_image_files(folder: Path) -> list[Path]:
    """Return all images in a folder and in those below it, sorted."""
    return [path for path in find_files(folder) if is_image_file(path)]


def unwrap(root: Path) -> Path:
    """Go down while a folder has no images but one folder of folders.

    Archives are often packed with such a folder around everything.
    """
    while True:
        inner = subfolders(root)
        if (
            len(inner) != 1
            or split_of(inner[0].name)
            or not subfolders(inner[0])
            or any(map(is_image_file, entries(root) + entries(inner[0])))
        ):
            return root
        root = inner[0]


def class_folders(root: Path) -> list[tuple[str | None, Path]]:
    """Return the folders `<class>` or `<split>/<class>`, with their splits.

    Raises:
        UserError: If other folders of images are beside those of the splits.
    """
    root = unwrap(root)
    splits = {p: split_of(p.name) for p in subfolders(root)}
    if not any(splits.values()):
        return [(None, path) for path in splits]
    others = [
        p.name for p, s in splits.items() if not s and find_image_files(p)
    ]
    if others:
        raise UserError(
            f"Folders of images beside those of the splits: {some_of(others)}. "
            "Use only train, validation and test, or rename or move them."
        )
    return [(s, path) for p, s in splits.items() if s for path in subfolders(p)]


def tree_manifest(
    root: Path,
    folders: Iterable[tuple[str | None, Path]],
    labels: Mapping[Path, str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """List the images in folders of classes.

    Args:
        root: Folder that the paths become relative to.
        folders: What `class_folders(root)` returned.
        labels: The class of each of the folders.

    Returns:
        A manifest with `path`, `label` and, if there are splits, `split`; and
        a table of the other files, for `Dataset.skipped_files`.
    """
    import pandas as pd

    rows = [
        (relative(path, root), labels[folder], split)
        for split, folder in folders
        # Folders of unknown names have no images.
        if folder in labels
        for path in find_image_files(folder)
    ]
    manifest = pd.DataFrame(rows, columns=["path", "label", "split"])
    if not manifest["split"].any():
        manifest = manifest.drop(columns="split")
    used = set(manifest["path"])
    skipped = [
        (relative(path, root), why_skipped(path))
        for path in find_files(root)
        if relative(path, root) not in used
    ]
    return manifest, skipped_table(skipped)


def why_skipped(path: Path) -> str:
    """Return the reason why a file is in no manifest."""
    if is_image_file(path):
        return "it is in no folder of a class"
    return f"not an image ({path.suffix.lower() or 'without a suffix'})"


def tell_skipped(files: Sequence[Path]) -> None:
    """Tell how many files of which kinds a command skips."""
    if files:
        console.print(
            f"{len(files):,} skipped: {describe_kinds(files)}", soft_wrap=True
        )


def portable(path: str, there: Path) -> str:
    r"""Return a path of a list without blanks around it, and with `/`.

    Lists written on Windows have `\\`. Elsewhere it and blanks may be part of a
    name, so a path is returned unchanged if such a file exists.

    Args:
        path: Relative to `there`.
        there: Folder of the files.
    """
    for name in (path, path.strip()):
        if os.sep == "/" and os.path.lexists(there / name):
            return name
    return path.strip().replace("\\", "/")


def relative(path: Path, root: Path) -> str:
    """Return the path below `root`, with `/` on every system."""
    return path.relative_to(root).as_posix()


def folder_labels(
    folders: Iterable[tuple[str | None, Path]], classes: Sequence[str]
) -> dict[Path, str]:
    """Match names of folders to the classes of a published set.

    Args:
        folders: What `class_folders` returned.
        classes: The names of the set's classes. Capitals, punctuation, a
            plural "s" and words of the same meaning do not matter.

    Returns:
        The class of each folder, without empty folders of other names.

    Raises:
        UserError: If a folder of another name has images.
    """
    words = {same_word(label): label for label in classes}
    labels, unknown = {}, set()
    for _, folder in folders:
        letters = "".join(filter(str.isalpha, folder.name))
        if label := words.get(same_word(letters)):
            labels[folder] = label
        elif find_image_files(folder):
            unknown.add(folder.name)
    if unknown:
        raise UserError(
            f"Folders of unknown classes: {', '.join(sorted(unknown))}. "
            f"Allowed are {', '.join(classes)}."
        )
    return labels
