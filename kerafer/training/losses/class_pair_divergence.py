"""The part of CDERNet's loss that pulls a class together."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerafer")
class ClassPairDivergence(keras.losses.Loss):
    """Small where the pictures of one class have similar embeddings.

    The mean over all pairs (i, j) of different pictures of one class in a
    batch, in both orders, of

        KL(softmax(embedding_i) || softmax(embedding_j))

    in nats, and 0 where no two pictures are of one class. It is one number
    for a batch, computed in float32 whatever the embeddings are.

    The authors minimise 0.3 cross-entropy + 0.7 of this.

    Args:
        name: Of the loss. Defaults to `"class_pair_divergence"`.

    Call arguments:
        labels: One-hot, or shares of which the largest counts (mixed
            pictures, smoothed labels); of shape `(batch, classes)`.
        embeddings: Of shape `(batch, features)`; not normalised.

    Example:
        >>> labels = keras.utils.to_categorical([0, 0, 1], 7)
        >>> embeddings = keras.random.normal((3, 256))
        >>> ClassPairDivergence()(labels, embeddings)

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
