"""Data sets by name."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import os
from pathlib import Path
from typing import Any

from kerafer.console import console
from kerafer.datasets.archive import unpacked
from kerafer.datasets.dataset import Dataset
from kerafer.datasets.folder import MANIFEST
from kerafer.datasets.scan import (
    describe_skipped,
    left_out,
    other_files,
    relative,
)
from kerafer.datasets.specs import DATASETS, SPECS
from kerafer.errors import ConfigError, UserError


def load(
    name: str,
    root: str | os.PathLike | None = None,
    download: bool = False,
    **options: Any,
) -> Dataset:
    """Find a data set and read which images it has.

    Args:
        name: `"kdef"`, `"fesr"`, `"fer2013"`, `"ferplus"`, `"folder"` or
            `"synthetic"`.
        root: Its folder, a folder with a folder `name` in it, or a .zip of
            it, which is unpacked beside. Defaults to the environment variable
            `KERAFER_DATA`, taken in the same way, then to `data/<name>`.
        download: Whether FESR is fetched from Kaggle. Defaults to `False`.
        **options: For the reader of the set; `None` stands for its default.
            `angles` of `"kdef"`; `subject_pattern` of `"folder"`; `verify`
            of all sets of files; `people`, `angles`, `seed` and `image_size`
            of `"synthetic"`.

    Returns:
        The data set. Of its images none is kept in memory, except where the
        set is one CSV file.

    Raises:
        UserError: For an unknown name or option, or if the data is not there:
            the message says how to get it.
    """
    if name not in DATASETS:
        raise UserError(
            f"A data set is one of {', '.join(DATASETS)}. Received: {name}."
        )
    reader = SPECS[name].load_reader()
    options = {k: v for k, v in options.items() if v is not None}
    known = [k for k in inspect.signature(reader).parameters if k != "root"]
    unknown = [option for option in options if option not in known]
    if download and name != "fesr":
        unknown.append("download")
    if unknown:
        raise UserError(
            f"The options of the data set {name} are {', '.join(known)}. "
            f"Received: {', '.join(unknown)}."
        )
    if name == "synthetic":
        if root is not None:
            raise UserError(
                "The set synthetic is drawn and has no folder. "
                f"Received: {os.fspath(root)}."
            )
        return reader(**options)
    dataset = reader(
        _fetch(root) if download else find_root(name, root), **options
    )
    dataset = _with_other_files(dataset)
    _tell_skipped(dataset)
    return dataset


def find_root(name: str, root: str | os.PathLike | None = None) -> Path:
    """The folder of a data set: given, from `KERAFER_DATA`, or `data/<name>`.

    Raises:
        UserError: If there is none.
    """
    if root is not None:
        return _inside(name, Path(root), "there is no {}")
    given = os.environ.get("KERAFER_DATA")
    if given:
        inner = _inside(name, Path(given), "KERAFER_DATA names {}, not there")
        others = any((Path(given) / other).is_dir() for other in DATASETS)
        if inner != Path(given) or not others:
            return inner
    place = Path("data") / name
    if not os.path.exists(place):
        looked = f"neither KERAFER_DATA nor {place} has it"
        raise SPECS[name].missing(looked)
    return _inside(name, place, "there is no {}")


def _inside(name: str, root: Path, absent: str) -> Path:
    # Without a home folder "~" is a name like any other.
    with contextlib.suppress(RuntimeError):
        root = root.expanduser()
    if not os.path.exists(root):
        raise SPECS[name].missing(absent.format(root))
    if root.suffix.lower() == ".zip" and root.is_file():
        return unpacked(root)
    if root.is_file() and not (
        name == "fer2013" and root.suffix.lower() == ".csv"
    ):
        raise ConfigError(
            f"`data_dir` is a folder or a .zip. Received the file: {root}."
        )
    return root / name if (root / name).is_dir() else root


def _fetch(root: str | os.PathLike | None) -> Path:
    from kerafer.datasets.fesr import download_fesr

    if root is not None:
        raise ConfigError(
            "A download goes where kagglehub keeps its files; leave "
            f"`data_dir` out. Received: {os.fspath(root)}."
        )
    return download_fesr()


def _with_other_files(dataset: Dataset) -> Dataset:
    """Add the files below the root that are not images to those skipped."""
    root = dataset.root
    # A list names the files that count.
    if root is None or not root.is_dir() or (root / MANIFEST).is_file():
        return dataset
    others = [
        (relative(file, root), f"not an image ({kind})")
        for file in other_files(root)
        # FER+'s list of votes, which its reader reads.
        if file.name != "fer2013new.csv"
        for kind in [file.suffix.lower() or "without a suffix"]
    ]
    rows = left_out([*dataset.left_out.itertuples(index=False), *others])
    return dataclasses.replace(dataset, left_out=rows)


def _tell_skipped(dataset: Dataset) -> None:
    count = len(dataset.left_out)
    if count:
        console.print(
            f"{dataset.name}: {len(dataset):,} images, {count:,} skipped"
            f"{describe_skipped(dataset)}",
            soft_wrap=True,
        )
