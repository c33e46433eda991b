"""The Karolinska Directed Emotional Faces."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from kerafer.datasets import scan
from kerafer.datasets.dataset import Dataset
from kerafer.datasets.specs import KDEF
from kerafer.errors import UserError

CLASSES = {
    "AN": "angry",
    "DI": "disgusted",
    "AF": "fearful",
    "HA": "happy",
    "NE": "neutral",
    "SA": "sad",
    "SU": "surprised",
}
ANGLES = ("FL", "HL", "S", "HR", "FR")
DEFAULT_ANGLES = ("HL", "S", "HR")

_NAME = re.compile(
    r"(?P<session>[AB])(?P<subject>[FM](?:0[1-9]|[12]\d|3[0-5]))"
    rf"(?P<code>{'|'.join(CLASSES)})(?P<angle>{'|'.join(ANGLES)})"
)


def read_kdef(
    root: Path,
    angles: str | Iterable[str] = DEFAULT_ANGLES,
    verify: bool = True,
) -> Dataset:
    """Read KDEF from any nesting of folders, by the names of its files.

    `AF01ANHL.JPG` is series A, the woman 01, angry, half from the left.
    Averaged faces (AKDEF), further copies of a name, unreadable and blank
    files are left out.

    Args:
        root: Folder with the images at any depth.
        angles: Of `FL`, `HL`, `S`, `HR`, `FR` (from the full left profile to
            the full right one), as a list or joined by commas, or `"all"`.
            Defaults to `HL,S,HR`, the 2,936 images of the article.
        verify: Whether every image is decoded once. Defaults to `True`.

    Returns:
        A data set with `subject` (`"F01"`), `session` (`"A"` or `"B"`) and
        `angle`.

    Raises:
        UserError: If there is no such image, or for an unknown angle.
    """
    wanted = parse_angles(angles)
    rows, strange = [], []
    for path in scan.find_image_files(root):
        name = scan.relative(path, root)
        fields = _NAME.fullmatch(path.stem.upper())
        if "AKDEF" in (part.upper() for part in Path(name).parts[:-1]):
            strange.append((name, "it is an averaged face (AKDEF)"))
        elif fields is None or path.suffix.lower() not in (".jpg", ".jpeg"):
            strange.append((name, "its name is none of KDEF's"))
        elif fields["angle"] in wanted:
            rows.append({"path": name, **fields.groupdict()})
    if not rows:
        raise KDEF.missing(
            f"no file in {root} has the name of one from {','.join(wanted)}",
        )
    import pandas as pd

    manifest = pd.DataFrame(rows)
    manifest["label"] = manifest.pop("code").map(CLASSES)
    dataset = Dataset(
        **KDEF.facts,
        manifest=manifest[["path", "label", "subject", "session", "angle"]],
        class_names=tuple(CLASSES.values()),
        root=root,
        left_out=scan.left_out(strange),
    )
    if verify:
        dataset = scan.verify(dataset)
    return _drop_copies(dataset)


def parse_angles(angles: str | Iterable[str]) -> tuple[str, ...]:
    """The angles in the order from left to right.

    Raises:
        UserError: For an unknown angle, or for none.
    """
    if isinstance(angles, str):
        angles = ANGLES if angles.lower() == "all" else angles.split(",")
    given = [angle.strip().upper() for angle in angles]
    unknown = [angle for angle in given if angle not in ANGLES]
    if unknown or not given:
        raise UserError(
            f"The angles are some of {', '.join(ANGLES)}, joined by commas, "
            f"or all. Received: {','.join(given) or 'none'}."
        )
    return tuple(angle for angle in ANGLES if angle in given)


def _drop_copies(dataset: Dataset) -> Dataset:
    first: dict[str, str] = {}
    reasons = []
    for path in dataset.manifest["path"]:
        earlier = first.setdefault(Path(path).stem.upper(), path)
        copy = earlier != path
        reasons.append(f"it has the name of {earlier}" if copy else None)
    return scan.leave_out(dataset, reasons)
