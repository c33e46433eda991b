"""Change and mix training images at random, on the model's device."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

# What is erased is as wide as high, within this factor.
_LONGEST = 3.3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Change each image at random.

    Flip, shift, rotation and zoom are one bilinear resampling that repeats the
    edge. Blur, brightness, contrast, gamma and erasing follow. Each number is
    uniform between minus and plus the value given.

    Args:
        flip: Whether to mirror one in two images.
        shift: Part of a side, in both directions.
        rotation: Degrees.
        zoom: Smallest and largest side of the visible part, in sides of the
            image; its logarithm is uniform.
        blur: Largest weight of a blurred copy (binomial, 5 x 5 pixels), on
            one in two images.
        brightness: Part of 255 that is added.
        contrast: Relative change of the differences from the mean.
        gamma: Natural logarithm of the exponent.
        erasing: Largest part of the area that noise replaces, on one in two
            images.

    Reference:
        Zhong et al., "Random Erasing Data Augmentation" (2020).
    """

    flip: bool = False
    shift: float = 0.0
    rotation: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    blur: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0
    erasing: float = 0.0

    def __call__(self, images: Any, seed: keras.random.SeedGenerator) -> Any:
        """Change images.

        Args:
            images: 0..255, `(batch, height, width, channels)`.
            seed: The random number generator.

        Returns:
            float32, 0..255, of the same shape.
        """
        images = ops.cast(images, "float32")
        if self.flip or self.shift or self.rotation or self.zoom != (1.0, 1.0):
            images = resample(images, self._origins(images, seed))
        if self.blur:
            share = ops.maximum(_drawn(images, self.blur, seed), 0.0)
            images = images + share * (_blurred(images) - images)
        if self.brightness:
            added = 255.0 * _drawn(images, self.brightness, seed)
            images = ops.clip(images + added, 0.0, 255.0)
        if self.contrast:
            factor = 1.0 + _drawn(images, self.contrast, seed)
            mean = ops.mean(images, axis=(1, 2), keepdims=True)
            images = ops.clip((images - mean) * factor + mean, 0.0, 255.0)
        if self.gamma:
            exponent = ops.exp(_drawn(images, self.gamma, seed))
            # The slope of a power below 1 has no bound at 0.
            shares = ops.maximum(images / 255.0, 1e-6)
            images = 255.0 * ops.power(shares, exponent)
        if self.erasing:
            images = self._erase(images, seed)
        return images

    def _origins(self, images: Any, seed: keras.random.SeedGenerator) -> Any:
        """Return the `origins` of `resample`.

        From the centre: rotate and zoom, then shift, then mirror.
        """
        height, width = images.shape[1:3]
        across, down = (width - 1) / 2, (height - 1) / 2
        side = 1.0
        if self.flip:
            side = ops.sign(_drawn(images, 1.0, seed))
        least, most = map(math.log, self.zoom)
        drawn = _drawn(images, (most - least) / 2, seed)
        zoom = ops.exp((least + most) / 2 + drawn)
        angle = _drawn(images, math.radians(self.rotation), seed)
        right = width * _drawn(images, self.shift, seed)
        lower = height * _drawn(images, self.shift, seed)
        cosine, sine = zoom * ops.cos(angle), zoom * ops.sin(angle)
        numbers = [
            side * cosine,
            -side * sine,
            across - side * (cosine * across - sine * down + right),
            sine,
            cosine,
            down - (sine * across + cosine * down) - lower,
        ]
        return ops.reshape(ops.stack(numbers, axis=1), (-1, 6))

    def _erase(self, images: Any, seed: keras.random.SeedGenerator) -> Any:
        """Replace rectangles by noise, the same for all images, to be fast."""
        height, width, channels = images.shape[1:]
        one, two, three, four, five = (
            _drawn(images, 0.5, seed) + 0.5 for _ in range(5)
        )
        area = self.erasing * (0.1 + 0.9 * one)
        stretched = ops.exp((2.0 * two - 1.0) * math.log(_LONGEST) / 2.0)
        high = ops.minimum(ops.sqrt(area) * stretched, 1.0)
        wide = ops.minimum(ops.sqrt(area) / stretched, 1.0)
        inside = _rectangle(
            (height, width),
            (three * (1.0 - high), four * (1.0 - wide)),
            (high, wide),
        ) & (five < 0.5)
        noise = keras.random.normal((1, height, width, channels), seed=seed)
        noise = ops.clip(255.0 * noise, 0.0, 255.0)
        return ops.where(inside, noise, images)


def resample(images: Any, origins: Any) -> Any:
    """Resample bilinearly, and repeat the edge outside.

    Args:
        images: float32 of shape `(batch, height, width, channels)`.
        origins: `(a, b, c, d, e, f)` for each image, `(batch, 6)`: the pixel
            in column x and row y comes from column `a x + b y + c` and row
            `d x + e y + f`.
    """
    return _RESAMPLERS[keras.backend.backend()](images, origins)


def _by_keras(images: Any, origins: Any) -> Any:
    return ops.image.affine_transform(
        images,
        ops.pad(origins, [(0, 0), (0, 2)]),
        interpolation="bilinear",
        fill_mode="nearest",
        data_format="channels_last",
    )


def _by_torch(images: Any, origins: Any) -> Any:
    import torch

    # Its coordinates are from -1 to 1, the outermost pixels' centres.
    row, column = _coordinates(images, origins)
    height, width = images.shape[1:3]
    grid = torch.stack(
        [column * (2.0 / max(width - 1, 1)), row * (2.0 / max(height - 1, 1))],
        dim=-1,
    )
    resampled = torch.nn.functional.grid_sample(
        images.permute(0, 3, 1, 2),
        grid - 1.0,
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )
    return resampled.permute(0, 2, 3, 1)


def _by_gathering(images: Any, origins: Any) -> Any:
    """Gather whole pixels; on JAX, Keras gathers channels, twice as many."""
    row, column = _coordinates(images, origins)
    height, width, channels = images.shape[1:]
    left, top = ops.floor(column), ops.floor(row)
    to_right, to_bottom = (column - left)[..., None], (row - top)[..., None]
    left, top = ops.cast(left, "int32"), ops.cast(top, "int32")
    right = ops.minimum(left + 1, width - 1)
    bottom = ops.minimum(top + 1, height - 1)
    # Within each image, so that devices that share a batch need no others'.
    pixels = ops.reshape(images, (-1, height * width, channels))

    def at(row: Any, column: Any) -> Any:
        index = ops.reshape(row * width + column, (-1, height * width, 1))
        taken = ops.take_along_axis(pixels, index, axis=1)
        return ops.reshape(taken, (-1, height, width, channels))

    upper = at(top, left) + to_right * (at(top, right) - at(top, left))
    lower = at(bottom, left) + to_right * (at(bottom, right) - at(bottom, left))
    return upper + to_bottom * (lower - upper)


def _coordinates(images: Any, origins: Any) -> tuple[Any, Any]:
    """Return where pixels come from, `(batch, height, width)` each."""
    height, width = images.shape[1:3]
    a, b, c, d, e, f = (origins[:, at, None, None] for at in range(6))
    x = ops.arange(width, dtype="float32")[None, None]
    y = ops.arange(height, dtype="float32")[None, :, None]
    column = ops.clip(a * x + b * y + c, 0, width - 1)
    row = ops.clip(d * x + e * y + f, 0, height - 1)
    return row, column


# The fastest on each backend. TensorFlow and PyTorch have a kernel for it.
_RESAMPLERS = {
    "tensorflow": _by_keras,
    "torch": _by_torch,
    "jax": _by_gathering,
}


def _blurred(images: Any) -> Any:
    """Filter by (1, 4, 6, 4, 1) / 16 in both directions."""
    height, width = images.shape[1:3]
    padded = ops.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)], "symmetric")
    weights = [weight / 16.0 for weight in (1, 4, 6, 4, 1)]
    rows = sum(
        weight * padded[:, at : at + height]
        for at, weight in enumerate(weights)
    )
    return sum(
        weight * rows[:, :, at : at + width]
        for at, weight in enumerate(weights)
    )


def _drawn(images: Any, most: float, seed: keras.random.SeedGenerator) -> Any:
    """Draw from `-most` to `most`, `(batch, 1, 1, 1)`."""
    shape = (ops.shape(images)[0], 1, 1, 1)
    return keras.random.uniform(shape, -most, most, "float32", seed)


def _rectangle(
    sizes: Sequence[int], starts: Sequence[Any], lengths: Sequence[Any]
) -> Any:
    """Tell which pixels are in a part of each image, in shares of its sides."""
    inside = []
    for axis, size in enumerate(sizes, 1):
        shape = [1, 1, 1, 1]
        shape[axis] = size
        at = ops.reshape(
            (ops.arange(size, dtype="float32") + 0.5) / size, shape
        )
        start = starts[axis - 1]
        inside.append((at >= start) & (at < start + lengths[axis - 1]))
    return inside[0] & inside[1]


POLICIES: dict[str, Augmentation | None] = {
    "none": None,
    "light": Augmentation(
        flip=True,
        shift=0.05,
        rotation=8.0,
        zoom=(0.92, 1.08),
        brightness=0.1,
        contrast=0.1,
    ),
    "strong": Augmentation(
        flip=True,
        shift=0.1,
        rotation=15.0,
        zoom=(0.85, 1.15),
        brightness=0.2,
        contrast=0.25,
        gamma=0.2,
        erasing=0.2,
    ),
    # A detector's boxes are looser and tighter than a data set's, up to a
    # margin of a quarter of a face, and faces far away have few pixels.
    "robust": Augmentation(
        flip=True,
        shift=0.12,
        rotation=18.0,
        zoom=(0.8, 1.5),
        blur=1.0,
        brightness=0.2,
        contrast=0.35,
        gamma=0.35,
        erasing=0.2,
    ),
}


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
        """Return 0 in a rectangle of the rest of the area, and 1 elsewhere."""
        side = ops.sqrt(1.0 - share)
        starts = [
            (1.0 - side) * keras.random.uniform(ops.shape(share), seed=seed)
            for _ in "yx"
        ]
        inside = _rectangle(images.shape[1:3], starts, (side, side))
        return ops.cast(~inside, "float32")
