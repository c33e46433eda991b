"""Find, read, decode and split data sets."""

from __future__ import annotations

import dataclasses
import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerafer.console import console
from kerafer.datasets.archive import unpacked
from kerafer.datasets.dataset import Dataset
from kerafer.datasets.specs import DATASETS, SPECS
from kerafer.errors import ConfigError, UserError, did_you_mean

if TYPE_CHECKING:
    from kerafer.datasets.config import DataConfig


def load(
    name: str,
    root: str | os.PathLike | None = None,
    verify: bool = True,
    **options: Any,
) -> Dataset:
    """Find a data set and list its images.

    Args:
        name: `"kdef"`, `"fesr"`, `"fer2013"`, `"ferplus"`, `"ckplus"`,
            `"folder"` or `"synthetic"`.
        root: Its folder, a folder with a folder `name` in it, or a .zip of
            it. Default: the environment variable `KERAFER_DATA`, taken in the
            same way, then `data/<name>`.
        verify: Whether every file is decoded once, and those that are
            unreadable or blank are skipped.
        **options: Of the set's reader; `None` stands for the default.
            `angles` of `"kdef"`; `subject_pattern` of `"folder"`; `people`,
            `angles`, `seed` and `image_size` of `"synthetic"`.

    Returns:
        The data set, not decoded.

    Raises:
        UserError: For an unknown name or option, or if the data is missing:
            the message says how to get it.
    """
    if name not in DATASETS:
        raise UserError(
            f"Unknown data set {name!r}. Choose one of {', '.join(DATASETS)}."
            f"{did_you_mean(name, DATASETS)}"
        )
    reader = SPECS[name].load_reader()
    options = {k: v for k, v in options.items() if v is not None}
    known = [k for k in inspect.signature(reader).parameters if k != "root"]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise UserError(
            f"Unknown options of the data set {name}: {', '.join(unknown)}. "
            f"It takes {', '.join(known) or 'none'}."
        )
    if name == "synthetic":
        if root is not None:
            raise ConfigError(
                "The set synthetic is drawn; remove `data_dir`. "
                f"Received: {os.fspath(root)}."
            )
        return reader(**options)
    dataset = reader(find_root(name, root), **options)
    if verify:
        from kerafer.datasets.decoded import find_flaws

        dataset = dataset.skip(find_flaws(dataset))
        dataset.print_skipped()
    return dataset


def load_data(
    config: DataConfig,
    split_file: str | os.PathLike[str] | None = None,
    decoded: bool = True,
) -> Dataset:
    """Load, decode and split what the settings name.

    Args:
        config: The settings.
        split_file: A split to read instead of drawing one.
        decoded: Whether images are decoded, cropped and resized.

    Returns:
        A data set with the column `split` in its manifest and, if it has
        files, with `images`.
    """
    from kerafer.datasets import splits
    from kerafer.datasets.decoded import decode_as

    drawn = config.dataset == "synthetic"
    dataset = load(
        config.dataset,
        config.data_dir,
        verify=not decoded,
        angles=config.angles,
        people=config.subjects,
        subject_pattern=config.subject_pattern,
        image_size=config.image_size if drawn else None,
    )
    # Of a drawn set no image is skipped, and drawing takes long.
    if decoded and (dataset.read is None or config.face_crop != "none"):
        dataset = decode_as(dataset, config)
        dataset.print_skipped()
    name = config.split or splits.default_kind(dataset)
    if split_file is None and name.endswith(".csv"):
        split_file = name
    if split_file is not None:
        split = splits.read_split(split_file, dataset)
    else:
        split = splits.make_split(dataset, name, config.seed)
    notes = list(split.attrs["notes"])
    if dataset.has_subjects:
        shared = len(splits.shared_subjects(dataset, split))
        subjects = dataset.manifest["subject"].nunique()
        notes.append(
            f"{shared} of {subjects} subjects are in both the training and "
            "the test set."
            if shared
            else f"None of the {subjects} subjects is in two parts."
        )
    counts = split.value_counts()
    sizes = [f"{counts.get(part, 0):,} {part}" for part in splits.PARTS]
    console.print(
        f"{dataset.name}: {len(dataset):,} images, {', '.join(sizes)}"
    )
    for note in notes:
        console.print(f"  {note}")
    return dataclasses.replace(
        dataset,
        manifest=dataset.manifest.assign(split=split.to_numpy()),
        split_name=name,
        notes=tuple(notes),
    )


def find_root(name: str, root: str | os.PathLike | None = None) -> Path:
    """Return the folder of a data set.

    Raises:
        UserError: If there is none.
    """
    if root is not None:
        return _inside(name, Path(root), "{} does not exist")
    if given := os.environ.get("KERAFER_DATA"):
        inner = _inside(name, Path(given), "KERAFER_DATA={} does not exist")
        # A collection of other sets is not the set itself.
        if inner != Path(given) or not any(
            (inner / other).is_dir() for other in DATASETS
        ):
            return inner
    return _inside(
        name, Path("data") / name, "neither KERAFER_DATA nor {} has it"
    )


def _inside(name: str, root: Path, absent: str) -> Path:
    root = Path(os.path.expanduser(root))
    if not os.path.exists(root):
        raise SPECS[name].missing(absent.format(root))
    if root.is_file():
        if root.suffix.lower() == ".zip":
            root = unpacked(root)
        elif name != "fer2013" or root.suffix.lower() != ".csv":
            raise ConfigError(
                f"`data_dir` must be a folder or a .zip. Received: {root}."
            )
    return root / name if (root / name).is_dir() else root
