"""What a model's training minimises."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from keras import ops

Outputs = Mapping[str, Any]
Classified = Callable[[Any, Any], Any]


@dataclasses.dataclass(frozen=True)
class Objective:
    """A loss of the probabilities and of what else a model computes.

    Args:
        loss: Called with the one-hot labels, of shape `(batch, classes)`, a
            mapping from `"probabilities"` and every one of `layers` to a
            tensor, and the images' weights, of shape `(batch,)`. Returns
            one number.
        layers: Names of the layers whose outputs it takes. Defaults to none.
    """

    loss: Callable[[Any, Outputs, Any], Any]
    layers: tuple[str, ...] = ()


MakeObjective = Callable[[Classified], Objective]


def weighted_mean(losses: Any, weights: Any) -> Any:
    """Of losses of shape `(batch,)`, with the images' weights."""
    return ops.mean(losses * weights)


def plain(classified: Classified) -> Objective:
    """The loss of the probabilities alone."""

    def loss(labels: Any, outputs: Outputs, weights: Any) -> Any:
        return weighted_mean(
            classified(labels, outputs["probabilities"]), weights
        )

    return Objective(loss)
