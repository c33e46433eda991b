"""Finding the images under a folder and looking whether they are whole."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerafer.class_names import same_word
from kerafer.console import track
from kerafer.datasets.checked import Checked
from kerafer.datasets.cores import map_in_threads
from kerafer.datasets.dataset import Dataset
from kerafer.errors import UserError, some_of
from kerafer.images import SUFFIXES, find_flaw

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
    """What stands in a folder, sorted, less hidden files and `__MACOSX`."""
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(
            "The folders of a data set must be readable. "
            f"Received: {folder} ({error.strerror})."
        ) from None
    return [p for p in found if not p.name.startswith((".", "__MACOSX"))]


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in a folder, sorted."""
    return [p for p in entries(folder) if os.path.isdir(p)]


def images(folder: Path) -> list[Path]:
    """The files directly in a folder whose names end like an image's."""
    return [
        p
        for p in entries(folder)
        if p.suffix.lower() in SUFFIXES and not os.path.isdir(p)
    ]


def find_image_files(
    folder: Path, seen: frozenset[tuple[int, int]] = frozenset()
) -> list[Path]:
    """All images in a folder and in those below it.

    Symbolic links are followed, but not back into a folder that is being
    listed already.
    """
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in seen:
        return []
    found: list[Path] = []
    for path in entries(folder):
        if os.path.isdir(path):
            found += find_image_files(path, seen | {here})
        elif path.suffix.lower() in SUFFIXES:
            found.append(path)
    return found


def other_files(folder: Path) -> list[Path]:
    """The files below a folder whose names do not end like an image's.

    Hidden files and folders are not among them.
    """
    found = []
    for here, inside, files in os.walk(folder):
        inside[:] = [n for n in inside if not n.startswith((".", "__MACOSX"))]
        found += [
            Path(here, name)
            for name in files
            if not name.startswith(".")
            and os.path.splitext(name)[1].lower() not in SUFFIXES
        ]
    return found


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
            or images(root)
            or images(inner[0])
        ):
            return root
        root = inner[0]


def class_folders(root: Path) -> list[tuple[str | None, Path]]:
    """The folders `<class>` or `<split>/<class>` with the split of each.

    Raises:
        UserError: If folders of images stand beside those of the splits.
    """
    root = unwrap(root)
    splits = {p: split_of(p.name) for p in subfolders(root)}
    if not any(splits.values()):
        return [(None, path) for path in splits]
    strange = [
        p.name for p, s in splits.items() if not s and find_image_files(p)
    ]
    if strange:
        raise UserError(
            "Beside train, validation and test stands no other folder with "
            f"images. Received: {', '.join(strange)}."
        )
    return [(s, path) for p, s in splits.items() if s for path in subfolders(p)]


def tree_manifest(
    root: Path,
    folders: Iterable[tuple[str | None, Path]],
    labels: Mapping[Path, str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The images in folders of classes, and those outside of them.

    Args:
        root: Folder that the paths become relative to.
        folders: What `class_folders(root)` returned.
        labels: The class that each of the folders stands for.

    Returns:
        A manifest with `path`, `label` and, where the set is divided,
        `split`; and a table for `Dataset.left_out`.
    """
    rows = []
    for split, folder in folders:
        rows += [
            (relative(path, root), labels[folder], split)
            for path in find_image_files(folder)
        ]
    import pandas as pd

    manifest = pd.DataFrame(rows, columns=["path", "label", "split"])
    taken = set(manifest["path"])
    if not manifest["split"].any():
        manifest = manifest.drop(columns="split")
    loose = [relative(path, root) for path in find_image_files(root)]
    return manifest, left_out(
        (path, "it stands in no folder of a class")
        for path in loose
        if path not in taken
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
    """The path below `root`, with `/` on every system."""
    return path.relative_to(root).as_posix()


def left_out(rows: Iterable[tuple[str, str]]) -> pd.DataFrame:
    """A table for `Dataset.left_out` from pairs of path and reason."""
    import pandas as pd

    return pd.DataFrame(list(rows), columns=["path", "reason"], dtype=object)


def describe_skipped(dataset: Dataset, most: int = 5) -> str:
    """Return lines of the reasons why files were skipped, with examples."""
    groups = dataset.left_out.groupby("reason")["path"]
    files = sorted(groups, key=lambda group: -len(group[1]))
    lines = [
        f"\n  {len(paths):,} skipped: {reason}: {some_of(list(paths), 3)}"
        for reason, paths in files[:most]
    ]
    rest = sum(len(paths) for _, paths in files[most:])
    return "".join(lines) + (f"\n  {rest:,} skipped otherwise" if rest else "")


def leave_out(dataset: Dataset, reasons: list[str | None]) -> Dataset:
    """Move the rows with a reason from the manifest to `left_out`.

    Raises:
        UserError: If no row is left.
    """
    bad = np.array([reason is not None for reason in reasons])
    if not bad.any():
        return dataset
    paths = dataset.manifest["path"]
    new = [(p, r) for p, r in zip(paths, reasons, strict=True) if r]
    old = dataset.left_out[["path", "reason"]].to_numpy().tolist()
    skipped = dataclasses.replace(dataset, left_out=left_out([*old, *new]))
    if bad.all():
        raise UserError(
            f"Cannot use any of the {len(dataset)} images of the data set "
            f"{dataset.name} in {dataset.root}.{describe_skipped(skipped)}"
        )
    return skipped.select(~bad)


def verify(dataset: Dataset, threads: int | None = None) -> Dataset:
    """Decode every image once and leave out what is no good.

    What was found of a file is kept in the user's cache folder until its size
    or time stamp changes.

    Args:
        dataset: A data set of files; any other comes back as it is.
        threads: Defaults to one for each core, at most 8, and to one alone
            for small files, where threads only wait for each other.

    Returns:
        The data set without unreadable and blank images, which `left_out`
        names.

    Raises:
        UserError: If no image is left.
    """
    if dataset.read is not None or dataset.root is None:
        return dataset
    names = dataset.manifest["path"].tolist()
    checked = Checked(dataset.root)
    flaws = checked.flaws(names)
    new = [name for name in dict.fromkeys(names) if name not in flaws]
    if new:
        states = checked.states(new)
        root = os.fspath(dataset.root)
        paths = [os.path.join(root, name) for name in new]
        found = map_in_threads(find_flaw, paths, threads or dataset.threads)
        found = track(found, "Checking images", len(paths))
        flaws |= dict(zip(new, found, strict=True))
        checked.keep(states, flaws)
    return leave_out(dataset, [flaws[name] for name in names])


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
        if label := words.get(same_word(letters)):
            labels[folder] = label
        elif find_image_files(folder):
            unknown.append(folder.name)
    if unknown:
        raise UserError(
            f"The folders are called {', '.join(classes)}. "
            f"Received: {', '.join(sorted(set(unknown)))}."
        )
    return labels
