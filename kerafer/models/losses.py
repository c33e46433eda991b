"""Losses of the models' authors, made of outputs inside the model."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import ops

Outputs = Mapping[str, Any]
ClassLoss = Callable[[Any, Any], Any]


@dataclasses.dataclass(frozen=True)
class Objective:
    """A loss of the probabilities and of other outputs of a model.

    Args:
        loss: Called with the one-hot labels, of shape `(batch, classes)`, a
            mapping from `"probabilities"` and each name in `layers` to a
            tensor, and the weights of the images, of shape `(batch,)`. Returns
            one number.
        layers: Names of the layers whose outputs it takes. Default: none.
    """

    loss: Callable[[Any, Outputs, Any], Any]
    layers: tuple[str, ...] = ()


MakeObjective = Callable[[ClassLoss], Objective]


def weighted_mean(losses: Any, weights: Any) -> Any:
    """Return the mean of losses times weights, both of shape `(batch,)`."""
    return ops.mean(losses * weights)


def plain(class_loss: ClassLoss) -> Objective:
    """Make the objective of the probabilities alone.

    Args:
        class_loss: Maps labels and probabilities to one loss per image.
    """

    def loss(labels: Any, outputs: Outputs, weights: Any) -> Any:
        return weighted_mean(
            class_loss(labels, outputs["probabilities"]), weights
        )

    return Objective(loss)


@keras.saving.register_keras_serializable(package="kerafer")
class ClassPairDivergence(keras.losses.Loss):
    """Penalize different embeddings of images of the same class.

    The mean over all pairs (i, j) of different images of one class in a batch,
    in both orders, of

        KL(softmax(embedding_i) || softmax(embedding_j))

    in nats, and 0 if no two images have the same class. It is one number per
    batch, always computed in float32.

    The authors minimize 0.3 cross-entropy + 0.7 of this.

    Args:
        name: Of the loss. Default: `"class_pair_divergence"`.

    Call arguments:
        labels: One-hot or soft labels, whose largest value counts, of shape
            `(batch, classes)`.
        embeddings: Of shape `(batch, features)`, not normalized.

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


def head_diversity(maps: Sequence[Any], epsilon: float = 1e-6) -> Any:
    """Return a loss that is small if attention heads look at different places.

        pairs / sum over pairs (mean((map_i - map_j)^2) + epsilon)

    A pair is two different heads, in one order. The mean is over images,
    places and channels, always in float32. The authors add 0.1 of this to the
    cross-entropy.

    Args:
        maps: Two or more tensors of shape `(batch, height, width, channels)`.
        epsilon: Keeps the result finite: if all maps are the same it is
            `1 / epsilon`, with zero gradient. Default: 1e-6.

    Example:
        >>> maps = [keras.ops.zeros((8, 7, 7, 4)), keras.ops.ones((8, 7, 7, 4))]
        >>> round(float(head_diversity(maps)), 3)
        1.0

    Reference:
        Zhang et al., "A Dual-Direction Attention Mixed Feature Network for
        Facial Expression Recognition", Electronics 12(17), 3595 (2023).
    """
    maps = [ops.cast(each, "float32") for each in maps]
    distances = [
        ops.mean(ops.square(one - other)) + epsilon
        for one, other in itertools.combinations(maps, 2)
    ]
    return len(distances) / sum(distances)
