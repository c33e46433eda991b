"""The Extended Cohn-Kanade set (CK+)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kerafer.datasets import scan
from kerafer.datasets.dataset import Dataset, skipped_table
from kerafer.datasets.specs import CKPLUS
from kerafer.errors import UserError
from kerafer.untrusted import read_text

# In the order of the codes 1 to 7 in the files of labels.
CLASSES = (
    *("angry", "contempt", "disgusted", "fearful", "happy", "sad"),
    "surprised",
)
# The expression is strongest at the end of a sequence.
N_FRAMES = 3

_FRAME = re.compile(
    r"(?P<subject>S\d{3})_(?P<sequence>\d{3})_(?P<frame>\d{8})", re.IGNORECASE
)
_LABEL_FILE = re.compile(r"(S\d{3}_\d{3})_\d{8}_emotion\.txt", re.IGNORECASE)


def read_ckplus(root: Path) -> Dataset:
    """List the last three frames of every labelled sequence of CK+.

    Two layouts are read: the published tree, `cohn-kanade-images/S010/004/
    S010_004_00000017.png` with the labels in `Emotion/S010/004/
    S010_004_00000017_emotion.txt`, and CK+48, whose folders are classes:
    `anger/S010_004_00000017.png`. Sequences without a label are skipped.

    Raises:
        UserError: If no image has a label, a folder has the name of no class,
            or a file of labels has no number from 0 to 7.
    """
    import pandas as pd

    rows, skipped = [], []
    for path, label in _labelled_frames(root):
        name = scan.relative(path, root)
        match = _FRAME.fullmatch(path.stem)
        if not scan.is_image_file(path):
            skipped.append((name, scan.why_skipped(path)))
        elif match is None:
            skipped.append((name, "its name is not one of CK+'s"))
        elif label is None:
            skipped.append((name, "its sequence has no label"))
        else:
            subject, sequence, frame = (part.upper() for part in match.groups())
            rows.append((name, label, subject, f"{subject}_{sequence}", frame))
    if not rows:
        raise CKPLUS.missing(f"no image in {root} has a label")
    manifest = pd.DataFrame(
        rows, columns=["path", "label", "subject", "sequence", "frame"]
    ).sort_values(["sequence", "frame"], ignore_index=True)
    last = manifest.groupby("sequence").cumcount(ascending=False) < N_FRAMES
    skipped += [
        (path, f"it is not among the last {N_FRAMES} frames")
        for path in manifest["path"][~last]
    ]
    return Dataset(
        **CKPLUS.facts,
        manifest=manifest[last].drop(columns="frame").reset_index(drop=True),
        class_names=CLASSES,
        root=root,
        skipped_files=skipped_table(skipped),
    )


def _labelled_frames(root: Path) -> Iterator[tuple[Path, str | None]]:
    """Yield every file but those of labels, with its class if it has one."""
    files = scan.find_files(root)
    sequences = {
        match[1].upper(): _read_label(path)
        for path in files
        if (match := _LABEL_FILE.fullmatch(path.name))
    }
    if sequences:
        for path in files:
            if path.suffix.lower() != ".txt":
                yield path, sequences.get(path.stem[:8].upper())
        return
    folders = scan.class_folders(root)
    labels = scan.folder_labels(folders, CLASSES)
    for path in files:
        yield path, labels.get(path.parent)


def _read_label(path: Path) -> str | None:
    """Return the class of a file such as `   3.0000000e+00`; 0 is neutral."""
    text = read_text(path).strip()
    try:
        code = float(text)
    except ValueError:
        code = -1.0
    if code not in range(8):
        raise UserError(
            f"{path} must have a number from 0 to 7. Received: {text[:20]!r}."
        )
    return CLASSES[int(code) - 1] if code else None
