"""The dataset `synthetic`: faces that the package draws."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from kerafer.datasets.dataset import Dataset
from kerafer.datasets.kdef import (
    ANGLES,
    CLASSES,
    DEFAULT_ANGLES,
    parse_angles,
)
from kerafer.datasets.specs import SYNTHETIC
from kerafer.datasets.synthetic.action_units import draw_action_units
from kerafer.datasets.synthetic.head import Pose
from kerafer.datasets.synthetic.renderer import render_face
from kerafer.datasets.synthetic.subject import draw_subject
from kerafer.errors import UserError
from kerafer.images import fit

if TYPE_CHECKING:
    import pandas as pd

MOST_PEOPLE = 70
GOLDEN_IMAGES = 16
# The dataset's square images are framed like a face crop.
_CLOSE_UP = 1.3
# Increase it when the drawing changes: cached images depend on it.
_VERSION = 2
_YAWS = dict(zip(ANGLES, (-80.0, -40.0, 0.0, 40.0, 80.0), strict=True))


def load_synthetic(
    people: int = MOST_PEOPLE,
    angles: str | Iterable[str] = DEFAULT_ANGLES,
    seed: int = 0,
    image_size: int = 224,
) -> Dataset:
    """Draw faces that show seven expressions in two sessions per subject.

    An image depends on its path, the seed and the size only. The paths have
    KDEF's form, such as `"AF01/AF01ANHL.JPG"`.

    Args:
        people: 1 to 70 subjects, women and men in turns. Default: 70.
        angles: `FL`, `HL`, `S`, `HR`, `FR` (from the left to the right
            profile), as a list or separated by commas, or `"all"`. Default:
            `HL,S,HR`.
        seed: Draws other subjects and images. Default: 0.
        image_size: Width and height in pixels, 16 or more. Default: 224.

    Returns:
        A dataset with `subject`, `session` and `angle`.

    Raises:
        UserError: For values outside these ranges.
    """
    if image_size < 16:
        raise UserError(
            f"Image size too small: {image_size}. Use 16 pixels or more."
        )
    manifest = list_images(people, angles, seed)
    source = f"{SYNTHETIC.source} (seed {seed}, {people} people)"
    return Dataset(
        **SYNTHETIC.facts | {"source": source},
        manifest=manifest,
        class_names=tuple(CLASSES.values()),
        read=functools.partial(
            draw_image,
            seed=seed,
            size=(image_size, image_size),
            close_up=_CLOSE_UP,
        ),
        fingerprint=f"drawing {_VERSION}, seed {seed}",
    )


def list_images(
    people: int, angles: str | Iterable[str], seed: int
) -> pd.DataFrame:
    """Return the manifest of `load_synthetic`."""
    if not 1 <= people <= MOST_PEOPLE:
        raise UserError(
            f"Cannot draw {people} people. Choose 1 to {MOST_PEOPLE}."
        )
    if seed < 0:
        raise UserError(f"Invalid seed: {seed}. Use 0 or more.")
    import pandas as pd

    rows = [
        (
            f"{session}{subject}/{session}{subject}{code}{angle}.JPG",
            label,
            subject,
            session,
            angle,
        )
        for subject in map(_subject_name, range(people))
        for session in "AB"
        for code, label in CLASSES.items()
        for angle in parse_angles(angles)
    ]
    columns = ["path", "label", "subject", "session", "angle"]
    return pd.DataFrame(rows, columns=columns)


def draw_image(
    path: str, seed: int, size: tuple[int, int], close_up: float = 1.0
) -> np.ndarray:
    """Draw the image of a path as uint8 RGB of shape `(height, width, 3)`.

    Args:
        path: In KDEF's form, such as `"AF01/AF01ANHL.JPG"`.
        seed: The dataset's seed.
        size: Width and height in pixels.
        close_up: Factor of the size of KDEF's heads. Default: 1.
    """
    name = path.rpartition("/")[2].partition(".")[0]
    subject, code, angle = name[1:4], name[4:6], name[6:]
    rng = np.random.default_rng([seed, *name.encode()])
    units = draw_action_units(CLASSES[code], rng.uniform(0.7, 1.0), rng)
    pose = Pose(
        yaw=_YAWS[angle] + rng.uniform(-5, 5),
        pitch=rng.uniform(-4, 4),
        roll=rng.uniform(-7, 7),
        scale=close_up * rng.uniform(0.92, 1.08),
        right=close_up * rng.uniform(-0.05, 0.05),
        down=close_up * rng.uniform(-0.05, 0.05),
    )
    return render_face(draw_subject(subject, seed), units, pose, rng, size)


def draw_golden_images(shape: tuple[int, int, int]) -> np.ndarray:
    """Draw the 16 test images of an export, uint8 of shape `(16, *shape)`."""
    height, width, _ = shape
    codes = list(CLASSES)
    paths = [
        f"A{_subject_name(i)}/A{_subject_name(i)}{codes[i % len(codes)]}S.JPG"
        for i in range(GOLDEN_IMAGES)
    ]
    # Seed 1: other subjects than the dataset's by default.
    images = [draw_image(path, 1, (width, height), _CLOSE_UP) for path in paths]
    return np.stack([fit(image, shape) for image in images])


def _subject_name(index: int) -> str:
    return f"{'FM'[index % 2]}{index // 2 + 1:02d}"
