"""The part of DDAMFN's loss that pushes its heads apart."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerafer")
class HeadDiversity:
    """Small where a model's heads look at different places.

        pairs / sum over pairs (mean((map_i - map_j)^2) + epsilon)

    A pair is two different heads, in one order; the mean is over pictures,
    places and channels. It is computed in float32 whatever the maps are.

    No `keras.losses.Loss`: it has no labels. Add it to what the labels give,
    with the authors' weight of 0.1.

    Args:
        epsilon: Keeps it finite where all maps are the same: it is then
            `1 / epsilon`, without a slope. Defaults to 1e-6.

    Raises:
        ValueError: For an epsilon of 0 or below, or fewer than two maps.

    Example:
        >>> maps = [keras.random.uniform((8, 7, 7, 512)) for _ in range(2)]
        >>> loss = cross_entropy + 0.1 * HeadDiversity()(maps)

    Reference:
        Zhang et al., "A Dual-Direction Attention Mixed Feature Network for
        Facial Expression Recognition", Electronics 12(17), 3595 (2023).
    """

    def __init__(self, epsilon: float = 1e-6) -> None:
        if not epsilon > 0:
            raise ValueError(
                f"`epsilon` must be above 0. Received: epsilon={epsilon}"
            )
        self.epsilon = epsilon

    def __call__(self, maps: Sequence[Any]) -> Any:
        """One number.

        Args:
            maps: Two or more tensors of one shape, `(batch, height, width,
                channels)`.
        """
        if len(maps) < 2:
            raise ValueError(
                f"Two or more maps can differ. Received: {len(maps)}"
            )
        maps = [ops.cast(each, "float32") for each in maps]
        apart = [
            ops.mean(ops.square(one - other)) + self.epsilon
            for one, other in itertools.combinations(maps, 2)
        ]
        return len(apart) / sum(apart)

    def get_config(self) -> dict[str, Any]:
        """What makes its equal."""
        return {"epsilon": self.epsilon}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> HeadDiversity:
        """Its equal."""
        return cls(**config)
