"""Correct and calibrate the probabilities of a trained model."""

from __future__ import annotations

import dataclasses
import math

import keras
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from kerafer.datasets.pipeline import Batches
from kerafer.errors import ConfigError
from kerafer.training.config import TrainingConfig

# A model that needs a factor beyond 20 is broken.
_BOUND = math.log(20)
# A class that training never saw has no frequency to divide by.
_LEAST_PRIOR = 1e-4


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Changes of a model's probabilities, in this order.

    Args:
        prior_correction: Power of the class frequencies they were divided by.
        temperature: Divisor of the logits.
        vote_temperature: Divisor of these logits for estimated votes.
    """

    prior_correction: float = 0.0
    temperature: float | None = None
    vote_temperature: float | None = None

    def as_dict(self) -> dict[str, float]:
        """Return the settings in use, for a JSON file."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if value}

    def describe(self) -> str | None:
        """Return a sentence for a report."""
        done = []
        if self.prior_correction:
            done.append(
                "probabilities divided by the class frequencies of the "
                f"training labels to the power of {self.prior_correction:g}"
            )
        if self.temperature is not None:
            done.append(
                f"logits divided by {self.temperature:.3f} (lowest "
                "cross-entropy on the validation images)"
            )
        if self.vote_temperature is not None:
            done.append(
                f"for estimated votes, divided by {self.vote_temperature:.3f}"
            )
        return "; ".join(done) or None


def calibrate(
    model: keras.Model,
    config: TrainingConfig,
    validation: Batches,
    prior: np.ndarray,
    has_votes: bool,
) -> Calibration:
    """Correct a model for the class frequencies, and calibrate it.

    This changes the weights of its classifiers, so every export has the same
    probabilities.

    Args:
        model: The trained model.
        config: Uses `prior_correction` and `calibrate`.
        validation: Validation images and labels.
        prior: Frequency of each class in the training labels.
        has_votes: Whether labels are votes of several people.

    Raises:
        ConfigError: If the classifier has no bias to correct.
    """
    if config.prior_correction:
        divide_by_prior(model, prior, config.prior_correction)
    if not (config.calibrate or has_votes):
        return Calibration(config.prior_correction)
    probabilities = model.predict(validation, verbose=0)
    targets = validation.targets[validation.indices]
    temperature = vote_temperature = None
    if config.calibrate:
        labels = np.eye(targets.shape[1])[targets.argmax(axis=1)]
        temperature = find_temperature(labels, probabilities)
        divide_logits(model, temperature)
    if has_votes:
        # Of the logits after that division.
        vote_temperature = find_temperature(targets, probabilities)
        vote_temperature /= temperature or 1.0
    return Calibration(config.prior_correction, temperature, vote_temperature)


def find_temperature(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """Find the divisor of the logits with the lowest cross-entropy.

    Args:
        targets: Probability of each class in the labels, `(images, classes)`.
            The model must not have been trained on these images.
        probabilities: Of the model, of the same shape.

    Returns:
        1/20 to 20. Above 1 the model was overconfident.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017,
    section 4.2.
    """
    # These are the logits up to a constant, which softmax cancels.
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
    """Divide a model's probabilities by `prior ** tau`, and normalize them.

    The class frequencies that a model learns hold for its data set alone. This
    is logit adjustment after training.

    Args:
        model: Its dense layers named `logits` or `..._logits` are changed.
        prior: Frequency of each class in the training labels.
        tau: From 0 (no change) to 1 (removes all of the prior).

    Raises:
        ConfigError: If the classifier has no bias.

    Source: Menon et al., "Long-tail Learning via Logit Adjustment", ICLR 2021,
    section 4.1.
    """
    shift = tau * np.log(np.maximum(prior, _LEAST_PRIOR))
    for layer in _classifiers(model):
        if not getattr(layer, "use_bias", False):
            raise ConfigError(
                "`prior_correction` needs a classifier with bias. "
                f"{layer.name} of {model.name} has none."
            )
        *kernel, bias = layer.get_weights()
        layer.set_weights([*kernel, bias - shift])


def divide_logits(model: keras.Model, temperature: float) -> None:
    """Divide the weights of the layers `logits` and `..._logits`."""
    for layer in _classifiers(model):
        layer.set_weights([w / temperature for w in layer.get_weights()])


def _classifiers(model: keras.Model) -> list[keras.layers.Layer]:
    return [one for one in model.layers if one.name.endswith("logits")]
