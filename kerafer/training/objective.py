"""What a training minimises."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from kerafer.models.registry import find_builder
from kerafer.training.config import TrainingConfig
from kerafer.training.losses import ClassPairDivergence, HeadDiversity

Outputs = Mapping[str, Any]
Classified = Callable[[Any, Any], Any]


@dataclasses.dataclass(frozen=True)
class Objective:
    """A loss of the probabilities and of what else a model computes.

    Args:
        loss: Called with the one-hot labels, of shape `(batch, classes)`, a
            mapping from `"probabilities"` and every one of `layers` to a
            tensor, and the pictures' weights, of shape `(batch,)`. Returns
            one number.
        layers: Names of the layers whose outputs it takes. Defaults to none.
    """

    loss: Callable[[Any, Outputs, Any], Any]
    layers: tuple[str, ...] = ()


def make_objective(config: TrainingConfig) -> Objective:
    """The loss that the settings name.

    `own` is that of the model's authors: for `ddamfn` cross-entropy + 0.1
    `HeadDiversity`, for `cder_net` 0.3 cross-entropy + 0.7
    `ClassPairDivergence` of the embeddings, for `ma_net` 0.6 cross-entropy of
    the local and 0.4 of the global branch; cross-entropy for all others.

    Args:
        config: `loss`, `label_smoothing` and `arch` are taken.
    """
    kind = keras.losses.CategoricalCrossentropy
    arguments: dict[str, Any] = {}
    if config.loss == "focal":
        kind = keras.losses.CategoricalFocalCrossentropy
        # With 1, a focus of 0 would be cross-entropy.
        arguments["alpha"] = 1.0
    classified = kind(
        label_smoothing=config.label_smoothing, reduction=None, **arguments
    )
    # An arch may be an alias.
    name = find_builder(config.arch, {}).__name__
    make = _OWN.get(name) if config.loss == "own" else None
    return (make or _plain)(classified)


def _mean(losses: Any, weights: Any) -> Any:
    return ops.mean(losses * weights)


def _plain(classified: Classified) -> Objective:
    def loss(labels: Any, outputs: Outputs, weights: Any) -> Any:
        return _mean(classified(labels, outputs["probabilities"]), weights)

    return Objective(loss)


def _heads_apart(classified: Classified) -> Objective:
    apart, layers = HeadDiversity(), ("head_1", "head_2")

    def loss(labels: Any, outputs: Outputs, weights: Any) -> Any:
        right = _mean(classified(labels, outputs["probabilities"]), weights)
        return right + 0.1 * apart([outputs[layer] for layer in layers])

    return Objective(loss, layers)


def _pairs_together(classified: Classified) -> Objective:
    together = ClassPairDivergence()

    def loss(labels: Any, outputs: Outputs, weights: Any) -> Any:
        right = _mean(classified(labels, outputs["probabilities"]), weights)
        return 0.3 * right + 0.7 * together(labels, outputs["embedding"])

    return Objective(loss, ("embedding",))


def _two_branches(classified: Classified) -> Objective:
    shares = {"local_logits": 0.6, "global_logits": 0.4}

    def loss(labels: Any, outputs: Outputs, weights: Any) -> Any:
        return sum(
            share
            * _mean(classified(labels, ops.softmax(outputs[layer])), weights)
            for layer, share in shares.items()
        )

    return Objective(loss, tuple(shares))


_OWN: dict[str, Callable[[Classified], Objective]] = {
    "cder_net": _pairs_together,
    "ddamfn": _heads_apart,
    "ma_net": _two_branches,
}
