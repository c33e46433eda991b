"""`kerafer synthesize`."""

from __future__ import annotations

from kerafer.cli.options import Int
from kerafer.console import console
from kerafer.datasets.config import DataConfig
from kerafer.files import output_folder


def synthesize(
    *, out: str, subjects: Int = 70, angles: str = "all", seed: Int = 0
) -> None:
    """Write synthetic faces as image files, with the names of KDEF.

    Args:
        out: Folder of the images.
        subjects: Number of subjects, at most 70.
        angles: Views, such as HL,S,HR.
        seed: Random seed. Other seeds draw other subjects.
    """
    from kerafer.datasets.kdef import parse_angles
    from kerafer.datasets.synthetic import write_kdef_tree

    # Validates the numbers.
    DataConfig(subjects=subjects, seed=seed)
    output_folder(out)
    views = parse_angles(angles)
    count = write_kdef_tree(out, people=subjects, angles=views, seed=seed)
    console.print(
        f"Saved {count:,} images in {out}. Train on them with\n"
        f"    kerafer train --dataset kdef --data-dir {out}",
        soft_wrap=True,
    )
