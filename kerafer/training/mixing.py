"""Training images and their labels mixed in pairs."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
from keras import ops

from kerafer.errors import UserError

KINDS = ("none", "mixup", "cutmix", "both")


@dataclasses.dataclass(frozen=True)
class Mixing:
    """Mix each image of a batch with another one.

    Args:
        kind: `"mixup"` averages the pixels; `"cutmix"` takes a rectangle from
            the other image; `"both"` is one of the two for each batch.
        alpha: Of the Beta distribution of the part that an image keeps. Small
            values keep nearly all or nothing, 1 is uniform.

    Reference:
        Zhang et al., "mixup: Beyond Empirical Risk Minimization" (2018); Yun
        et al., "CutMix" (2019).
    """

    kind: str
    alpha: float = 0.2

    def __call__(
        self, images: Any, seed: keras.random.SeedGenerator
    ) -> tuple[Any, Any, Any]:
        """Mix images.

        Args:
            images: Of shape `(batch, height, width, channels)`.
            seed: Numbers are drawn from it.

        Returns:
            float32 images of the same shape; the index of each one's partner,
            `(batch,)`; the share that each one kept, `(batch, 1)`.
        """
        images = ops.cast(images, "float32")
        batch = ops.shape(images)[0]
        partner = keras.random.shuffle(ops.arange(batch), seed=seed)
        share = keras.random.beta(
            (batch, 1, 1, 1), self.alpha, self.alpha, "float32", seed
        )
        if self.kind == "mixup":
            own = share
        else:
            own = self._cut(images, share, seed)
            if self.kind == "both":
                first = keras.random.uniform((1, 1, 1, 1), seed=seed) < 0.5
                own = ops.where(first, share, own)
        mixed = own * images + (1.0 - own) * ops.take(images, partner, axis=0)
        kept = ops.mean(own, axis=(1, 2, 3))[:, None]
        return mixed, partner, kept

    def _cut(
        self, images: Any, share: Any, seed: keras.random.SeedGenerator
    ) -> Any:
        """0 in a rectangle that has the rest of the area, and 1 around it."""
        height, width = images.shape[1:3]
        side = ops.sqrt(1.0 - share)
        start = [
            (1.0 - side) * keras.random.uniform(ops.shape(share), seed=seed)
            for _ in "yx"
        ]
        down = (ops.arange(height, dtype="float32") + 0.5) / height
        across = (ops.arange(width, dtype="float32") + 0.5) / width
        down = ops.reshape(down, (1, -1, 1, 1)) - start[0]
        across = ops.reshape(across, (1, 1, -1, 1)) - start[1]
        inside = (down >= 0) & (down < side) & (across >= 0) & (across < side)
        return ops.cast(~inside, "float32")


def make_mixing(kind: str, alpha: float = 0.2) -> Mixing | None:
    """Return the mixing of that kind; `None` for `"none"`.

    Raises:
        UserError: For an unknown kind, or an `alpha` that is not above 0.
    """
    if kind not in KINDS:
        raise UserError(
            f"Unknown mixing {kind!r}. Choose one of {', '.join(KINDS)}."
        )
    if not 0 < alpha < math.inf:
        raise UserError(f"`mix_alpha` must be above 0. Received: {alpha}.")
    return None if kind == "none" else Mixing(kind, alpha)
