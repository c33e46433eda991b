"""The data set `synthetic`: faces that the package draws."""

from __future__ import annotations

import dataclasses
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
from kerafer.datasets.synthetic.identity import Identity, draw_identity
from kerafer.datasets.synthetic.renderer import render_face
from kerafer.datasets.synthetic.scene import draw_scene
from kerafer.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

MOST_PEOPLE = 70
SESSIONS = ("A", "B")
# The square images are framed as a face crop is, not as a portrait.
CLOSE_UP = 1.3
# Counts up with every change of what is drawn: images are kept by it.
DRAWING = 1
YAWS = dict(zip(ANGLES, (-80.0, -40.0, 0.0, 40.0, 80.0), strict=True))


def load_synthetic(
    people: int = MOST_PEOPLE,
    angles: str | Iterable[str] = DEFAULT_ANGLES,
    seed: int = 0,
    image_size: int = 224,
) -> Dataset:
    """Faces drawn from facial action units; no file stands behind them.

    A person is a stable identity with images of seven expressions in two
    sessions. `HL` and `FL` show the left half of the person's face: the nose
    points to the image's left.

    Args:
        people: 1 to 70, women and men in turns. Defaults to 70.
        angles: Of `FL`, `HL`, `S`, `HR`, `FR`, as a list or joined by commas,
            or `"all"`. Defaults to `HL,S,HR`.
        seed: Another seed draws other people and other images. Defaults to
            0.
        image_size: Width and height in pixels. Defaults to 224.

    Returns:
        A data set with `subject`, `session` and `angle` whose paths have
        KDEF's form, such as `"AF01/AF01ANHL.JPG"`. An image depends on its
        path, the seed and the size only.

    Raises:
        UserError: For another number of people, an unknown angle, a negative
            seed or a size below 16.
    """
    if image_size < 16:
        raise UserError(
            "A drawn image has 16 or more pixels a side. "
            f"Received: {image_size}."
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
            close_up=CLOSE_UP,
        ),
        fingerprint=f"drawing {DRAWING}, seed {seed}",
    )


def list_images(
    people: int, angles: str | Iterable[str], seed: int
) -> pd.DataFrame:
    """The rows of the drawn set, as `load_synthetic` takes them."""
    if not 1 <= people <= MOST_PEOPLE:
        raise UserError(
            f"The drawn set has 1 to {MOST_PEOPLE} people. Received: {people}."
        )
    if seed < 0:
        raise UserError(f"A seed is 0 or more. Received: {seed}.")
    subjects = [f"{'FM'[i % 2]}{i // 2 + 1:02d}" for i in range(people)]
    rows = [
        (
            f"{session}{subject}/{session}{subject}{code}{angle}.JPG",
            label,
            subject,
            session,
            angle,
        )
        for subject in subjects
        for session in SESSIONS
        for code, label in CLASSES.items()
        for angle in parse_angles(angles)
    ]
    columns = ["path", "label", "subject", "session", "angle"]
    import pandas as pd

    return pd.DataFrame(rows, columns=columns)


def draw_image(
    path: str, seed: int, size: tuple[int, int], close_up: float = 1.0
) -> np.ndarray:
    """Draw the image that a path of the drawn set names.

    Args:
        path: In KDEF's form, such as `"AF01/AF01ANHL.JPG"`.
        seed: The data set's seed.
        size: Width and height in pixels.
        close_up: Factor of the head's size; 1 is KDEF's portrait. Defaults
            to 1.

    Returns:
        uint8 RGB of shape `(height, width, 3)`.
    """
    name = path.rpartition("/")[2].partition(".")[0]
    subject, code, angle = name[1:4], name[4:6], name[6:]
    rng = np.random.default_rng([seed, *name.encode()])
    units = draw_action_units(CLASSES[code], rng.uniform(0.7, 1.0), rng)
    yaw = YAWS[angle] + rng.uniform(-5, 5)
    scene = draw_scene(rng)
    # Nearer to the face, the same movements of the head are larger ones.
    scene = dataclasses.replace(
        scene,
        scale=scene.scale * close_up,
        shift=(close_up * scene.shift[0], close_up * scene.shift[1]),
    )
    return render_face(_identity(subject, seed), units, yaw, scene, size)


@functools.lru_cache(maxsize=256)
def _identity(subject: str, seed: int) -> Identity:
    return draw_identity(subject, seed)
