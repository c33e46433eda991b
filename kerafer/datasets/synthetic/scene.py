"""What changes from image to image around the face."""

from __future__ import annotations

import dataclasses

import numpy as np

from kerafer.datasets.synthetic.identity import FABRIC, Colour, mix

OCCLUDERS = ("hand", "scarf", "strand", "cup")
WALLS: tuple[Colour, ...] = (
    (226, 220, 208),
    (170, 186, 196),
    (120, 136, 128),
    (196, 168, 140),
    (92, 98, 116),
    (206, 206, 210),
    (148, 118, 108),
    (60, 66, 70),
)


@dataclasses.dataclass(frozen=True)
class Scene:
    """Pose, light, surroundings and camera of one image.

    The defaults are a calm, even image; `draw_scene` draws one by chance.

    Args:
        pitch: Nod in degrees; positive lowers the nose.
        roll: Tilt in degrees; positive tilts the crown to the right.
        scale: Factor of the head's size.
        shift: Of the head, as a part of the image's width: right, down.
        gaze: Shift of the irises, right and down.
        light: Direction of the light in degrees: -90 from the image's left,
            0 from the front, 90 from its right.
        contrast: 0 (even light) to 1 (hard light).
        brightness: Factor of all colours.
        warmth: -1 (bluish) to 1 (reddish).
        wall: Colours of the background, its upper and its lower end.
        clothes: Colour of the clothes.
        collar: Depth of the neckline.
        occluder: One of `OCCLUDERS`, or `None`.
        occluder_side: -1 or 1, where the occluder is.
        blur: Standard deviation of the blur, in 1000ths of the width.
        noise: Standard deviation of the noise, of 255 levels.
        seed: Of the background's patches and of the noise.
    """

    pitch: float = 0.0
    roll: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    gaze: tuple[float, float] = (0.0, 0.0)
    light: float = -30.0
    contrast: float = 0.3
    brightness: float = 1.0
    warmth: float = 0.0
    wall: tuple[Colour, Colour] = (WALLS[0], WALLS[5])
    clothes: Colour = FABRIC[0]
    collar: float = 0.12
    occluder: str | None = None
    occluder_side: int = 1
    blur: float = 0.0
    noise: float = 0.0
    seed: int = 0


def draw_scene(rng: np.random.Generator) -> Scene:
    """Draw a scene by chance."""

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    wall = WALLS[rng.integers(len(WALLS))]
    other = WALLS[rng.integers(len(WALLS))]
    return Scene(
        pitch=between(-4, 4),
        roll=between(-5, 5),
        scale=between(0.94, 1.06),
        shift=(between(-0.042, 0.042), between(-0.036, 0.036)),
        gaze=(between(-0.03, 0.03), between(-0.008, 0.015)),
        light=between(-70, 70),
        contrast=between(0.1, 0.5),
        brightness=between(0.9, 1.1),
        warmth=between(-1, 1),
        wall=(mix(wall, other, between(0, 0.4)), mix(wall, other, 0.6)),
        clothes=FABRIC[rng.integers(len(FABRIC))],
        collar=between(0.05, 0.3),
        occluder=str(rng.choice(OCCLUDERS)) if rng.random() < 0.08 else None,
        occluder_side=1 if rng.random() < 0.5 else -1,
        blur=between(0, 3),
        noise=between(1, 4),
        seed=int(rng.integers(2**31)),
    )
