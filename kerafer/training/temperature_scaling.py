"""Probabilities that are as high as a model is right."""

from __future__ import annotations

import math

import keras
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

# Beyond a factor of 20 a model is not too sure or too modest, but broken.
_BOUND = math.log(20)


def find_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The number to divide a model's logits by, judged by labelled pictures.

    It is the one with the lowest cross-entropy, between 1/20 and 20. Below 1 a
    model was too modest, above 1 too sure. No answer changes by it.

    Args:
        labels: Class index of every picture, of shape `(pictures,)`; the model
            was not trained on them.
        probabilities: What softmax made of its logits, of shape
            `(pictures, classes)`.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017,
    section 4.2.
    """
    # The logits, but for a number that softmax takes away again.
    logits = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    pictures = np.arange(len(labels))

    def cross_entropy(logarithm: float) -> float:
        scaled = log_softmax(logits / math.exp(logarithm), axis=1)
        return -scaled[pictures, labels].mean()

    found = minimize_scalar(
        cross_entropy, bounds=(-_BOUND, _BOUND), method="bounded"
    )
    return math.exp(found.x)


def divide_logits(model: keras.Model, temperature: float) -> None:
    """Divide the logits of one of this package's models, in its weights.

    Args:
        model: Its dense layers named `logits` or `..._logits` are changed, so
            every export has the calibrated probabilities.
        temperature: The divisor.
    """
    for layer in model.layers:
        if layer.name.endswith("logits"):
            layer.set_weights([w / temperature for w in layer.get_weights()])
