"""Losses of the methods that the article compares with."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerafer")
class ClassPairDivergence(keras.losses.Loss):
    """Small where the images of one class have similar embeddings.

    The mean over all pairs (i, j) of different images of one class in a
    batch, in both orders, of

        KL(softmax(embedding_i) || softmax(embedding_j))

    in nats, and 0 where no two images are of one class. It is one number
    for a batch, computed in float32 whatever the embeddings are.

    The authors minimise 0.3 cross-entropy + 0.7 of this.

    Args:
        name: Of the loss. Defaults to `"class_pair_divergence"`.

    Call arguments:
        labels: One-hot, or shares of which the largest counts (mixed
            images, smoothed labels); of shape `(batch, classes)`.
        embeddings: Of shape `(batch, features)`; not normalised.

    Example:
        >>> labels = keras.utils.to_categorical([0, 0, 1], 7)
        >>> embeddings = keras.ops.ones((3, 256))
        >>> bool(ClassPairDivergence()(labels, embeddings) < 1e-4)
        True

    Reference:
        Wang et al., IEEE Intelligent Transportation Systems Magazine (2023).
    """

    def __init__(self, name: str = "class_pair_divergence") -> None:
        super().__init__(name=name, dtype="float32")

    def call(self, labels: Any, embeddings: Any) -> Any:
        logs = ops.log_softmax(embeddings, axis=-1)
        shares = ops.exp(logs)
        own = ops.sum(shares * logs, axis=-1, keepdims=True)
        divergences = own - ops.matmul(shares, ops.transpose(logs))
        classes = ops.argmax(labels, axis=-1)
        pairs = ops.cast(
            ops.equal(classes[:, None], classes[None, :]), "float32"
        )
        pairs = pairs * (1.0 - ops.eye(ops.shape(labels)[0], dtype="float32"))
        return ops.sum(pairs * divergences) / ops.maximum(ops.sum(pairs), 1.0)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


@keras.saving.register_keras_serializable(package="kerafer")
class HeadDiversity:
    """Small where a model's heads look at different places.

        pairs / sum over pairs (mean((map_i - map_j)^2) + epsilon)

    A pair is two different heads, in one order; the mean is over images,
    places and channels. It is computed in float32 whatever the maps are.

    No `keras.losses.Loss`: it has no labels. Add it to what the labels give,
    with the authors' weight of 0.1.

    Args:
        epsilon: Keeps it finite where all maps are the same: it is then
            `1 / epsilon`, without a slope. Defaults to 1e-6.

    Raises:
        ValueError: For an epsilon of 0 or below, or fewer than two maps.

    Example:
        >>> maps = [keras.ops.zeros((8, 7, 7, 4)), keras.ops.ones((8, 7, 7, 4))]
        >>> round(float(HeadDiversity()(maps)), 3)
        1.0

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
