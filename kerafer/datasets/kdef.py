"""The Karolinska Directed Emotional Faces."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from kerafer.datasets import scan
from kerafer.datasets.dataset import Dataset, skipped_table
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
    root: Path, angles: str | Iterable[str] = DEFAULT_ANGLES
) -> Dataset:
    """List KDEF's images in any nesting of folders, by the names of its files.

    `AF01ANHL.JPG` is series A, the woman 01, angry, half from the left.
    Averaged faces (AKDEF) and further copies of a name are skipped.

    Args:
        root: Folder with the images at any depth.
        angles: Of `FL`, `HL`, `S`, `HR`, `FR` (from the full left profile to
            the full right one), as a list or joined by commas, or `"all"`.
            Default: `HL,S,HR`, the 2,936 images of the article.

    Raises:
        UserError: If there is no such image, or for an unknown angle.
    """
    import pandas as pd

    wanted = parse_angles(angles)
    rows, skipped = [], []
    first: dict[str, str] = {}
    for path in scan.find_files(root):
        name = scan.relative(path, root)
        fields = _NAME.fullmatch(path.stem.upper())
        if not scan.is_image_file(path):
            skipped.append((name, scan.why_skipped(path)))
        elif "AKDEF" in (part.upper() for part in Path(name).parts[:-1]):
            skipped.append((name, "it is an averaged face (AKDEF)"))
        elif fields is None or path.suffix.lower() not in (".jpg", ".jpeg"):
            skipped.append((name, "its name is not one of KDEF's"))
        elif fields["angle"] in wanted:
            earlier = first.setdefault(path.stem.upper(), name)
            if earlier == name:
                rows.append({"path": name, **fields.groupdict()})
            else:
                skipped.append((name, f"it is a copy of {earlier}"))
    if not rows:
        raise KDEF.missing(
            f"no file in {root} has the name of one from {','.join(wanted)}",
        )
    manifest = pd.DataFrame(rows)
    manifest["label"] = manifest.pop("code").map(CLASSES)
    return Dataset(
        **KDEF.facts,
        manifest=manifest[["path", "label", "subject", "session", "angle"]],
        class_names=tuple(CLASSES.values()),
        root=root,
        skipped_files=skipped_table(skipped),
    )


def parse_angles(angles: str | Iterable[str]) -> tuple[str, ...]:
    """Return the angles in the order from left to right."""
    if isinstance(angles, str):
        angles = ANGLES if angles.lower() == "all" else angles.split(",")
    given = [angle.strip().upper() for angle in angles]
    if not given or not set(given) <= set(ANGLES):
        raise UserError(
            f"Unknown angles {','.join(given) or 'none'}. Choose some of "
            f"{', '.join(ANGLES)}, joined by commas, or all."
        )
    return tuple(angle for angle in ANGLES if angle in given)
