"""List the images in folders and tables, with their classes and splits."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerafer.class_names import same_word
from kerafer.console import console
from kerafer.datasets.dataset import Dataset, skipped_table
from kerafer.errors import UserError, some_of
from kerafer.images import SUFFIXES, describe_kinds
from kerafer.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

    from kerafer.datasets.specs import DatasetSpec

_SPLIT_NAME = re.compile(
    # Digits and general words around the split's own: 1_train, data-test.
    r"[0-9]*(?:data|images?|set)*"
    r"(?:(?P<train>train(?:ing)?)"
    r"|(?P<validation>val(?:id(?:ation)?)?|dev(?:el(?:opment)?)?|publictest)"
    r"|(?P<test>test(?:ing)?|privatetest))"
    r"(?:data|images?|imgs?|(?:sub)?sets?|split|folder|faces)*"
)


def split_of(name: str) -> str | None:
    """Return `"train"`, `"validation"`, `"test"` or `None` for a name.

    Capitals, punctuation and words such as "set" or "data" do not matter:
    `Training_Set`, `valid-data`, `dev` and `TestImages` are understood.
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


def class_folders(root: Path) -> list[tuple[str | None, Path]]:
    """Return the folders `<class>` or `<split>/<class>`, with their splits.

    Raises:
        UserError: If other folders of images are beside those of the splits.
    """
    root = _unwrap(root)
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


def _unwrap(root: Path) -> Path:
    """Go down while a folder has no images but one folder of folders."""
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


def read_tree(spec: DatasetSpec, root: Path, classes: Sequence[str]) -> Dataset:
    """List a published set, `<split>/<class>/*` or `<class>/*`.

    Args:
        spec: The set.
        root: Its folder.
        classes: Its classes. Folders may have other names for them.

    Raises:
        UserError: Without images, or for a folder of another name with images.
    """
    folders = class_folders(root)
    labels = folder_labels(folders, classes)
    manifest, skipped = list_tree(root, folders, labels)
    if manifest.empty:
        raise spec.missing(f"{root} has no folder of a class with images")
    return Dataset(
        **spec.facts,
        manifest=manifest,
        class_names=tuple(classes),
        root=root,
        skipped_files=skipped,
    )


def list_tree(
    root: Path,
    folders: Iterable[tuple[str | None, Path]],
    labels: Mapping[Path, str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """List the images in folders of classes.

    Args:
        root: Folder that the paths become relative to.
        folders: What `class_folders(root)` returned.
        labels: The class of each of the folders; others have no images.

    Returns:
        A manifest with `path`, `label` and, if there are splits, `split`; and
        a table of the other files, for `Dataset.skipped_files`.
    """
    import pandas as pd

    rows = [
        (relative(path, root), labels[folder], split)
        for split, folder in folders
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


def folder_labels(
    folders: Iterable[tuple[str | None, Path]], classes: Sequence[str]
) -> dict[Path, str]:
    """Match names of folders to the classes of a published set.

    Capitals, punctuation, a plural "s" and words of the same meaning do not
    matter. Empty folders of other names are ignored.

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


def read_rows(
    file: Path, required: Sequence[str], errors: str = "strict", **options: Any
) -> pd.DataFrame:
    """Read a CSV file as text, with column names in lower case.

    Args:
        file: Columns separated by `,`, `;` or tabs.
        required: Columns that it must have.
        errors: What becomes of bytes that are not UTF-8.
        **options: Of `pandas.read_csv`.

    Raises:
        UserError: If it is not a table, or lacks a column.
    """
    try:
        table = read_table(file, errors, **options)
    except (ValueError, OSError) as error:
        raise UserError(
            f"Cannot read {file} as a CSV file in UTF-8: {error}."
        ) from None
    table.columns = [name.strip(' "').lower() for name in table]
    missing = [name for name in required if name not in table]
    if missing:
        raise UserError(
            f"{file} needs the columns {', '.join(required)}. "
            f"Missing: {', '.join(missing)}."
        )
    return table


def why_skipped(path: Path) -> str:
    """Return the reason why a file is in no manifest."""
    if is_image_file(path):
        return "it is in no folder of a class"
    return f"not an image ({path.suffix.lower() or 'without a suffix'})"


def tell_skipped(files: Sequence[Path]) -> None:
    """Print how many files of which kinds a command skips."""
    if files:
        console.print(
            f"{len(files):,} skipped: {describe_kinds(files)}", soft_wrap=True
        )


def relative(path: Path, root: Path) -> str:
    """Return the path below `root`, with `/` on every system."""
    return path.relative_to(root).as_posix()
