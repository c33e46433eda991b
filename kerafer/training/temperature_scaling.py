"""Probabilities that are as high as a model is right."""

from __future__ import annotations

import math

import keras
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from kerafer.errors import ConfigError

# Beyond a factor of 20 a model is not too sure or too modest, but broken.
_BOUND = math.log(20)
# A class that training never saw has no share to divide by.
_LEAST_SHARE = 1e-4


def find_temperature(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """The number to divide a model's logits by, judged by labelled images.

    It is the one with the lowest cross-entropy, between 1/20 and 20. Below 1 a
    model was too modest, above 1 too sure. No answer changes by it.

    Args:
        targets: Share of each class in the labels, of shape `(images,
            classes)`; the model was not trained on them.
        probabilities: What softmax made of its logits, of the same shape.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017,
    section 4.2.
    """
    # The logits, but for a number that softmax takes away again.
    tiny = np.finfo(np.float32).tiny
    logits = np.log(np.maximum(probabilities.astype(np.float64), tiny))

    def cross_entropy(logarithm: float) -> float:
        scaled = log_softmax(logits / math.exp(logarithm), axis=1)
        return -(targets * scaled).sum(axis=1).mean()

    found = minimize_scalar(
        cross_entropy, bounds=(-_BOUND, _BOUND), method="bounded"
    )
    return math.exp(found.x)


def divide_by_prior(model: keras.Model, prior: np.ndarray, tau: float) -> None:
    """Divide a model's answers by the classes' shares, in its weights.

    What a model learns of how frequent the classes were holds for its data
    set alone. Its probabilities are divided by `prior ** tau` and made to sum
    to 1 again: logit adjustment after training.

    Args:
        model: Its dense layers named `logits` or `..._logits` are changed.
        prior: Share of each class in the training labels.
        tau: 0 changes nothing, 1 takes all of the prior away.

    Raises:
        UserError: For a model whose classifier has no bias.

    Source: Menon et al., "Long-tail Learning via Logit Adjustment", ICLR 2021,
    section 4.1.
    """
    taken = tau * np.log(np.maximum(prior, _LEAST_SHARE))
    for layer in _classifiers(model):
        weights = layer.get_weights()
        if not getattr(layer, "use_bias", False):
            raise ConfigError(
                "`prior_correction` changes the bias of the classifier. "
                f"{model.name}'s has none."
            )
        layer.set_weights([*weights[:-1], weights[-1] - taken])


def divide_logits(model: keras.Model, temperature: float) -> None:
    """Divide the logits of one of this package's models, in its weights.

    Args:
        model: Its dense layers named `logits` or `..._logits` are changed, so
            every export has the calibrated probabilities.
        temperature: The divisor.
    """
    for layer in _classifiers(model):
        layer.set_weights([w / temperature for w in layer.get_weights()])


def _classifiers(model: keras.Model) -> list[keras.layers.Layer]:
    return [one for one in model.layers if one.name.endswith("logits")]
