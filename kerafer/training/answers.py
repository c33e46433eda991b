"""What is done to a trained model's answers before it is handed on."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import keras
import numpy as np

from kerafer.datasets.pipeline import Batches
from kerafer.files import write_text
from kerafer.models.save import save_model
from kerafer.training.config import TrainingConfig
from kerafer.training.run_folder import RunFolder
from kerafer.training.temperature_scaling import (
    divide_by_prior,
    divide_logits,
    find_temperature,
)
from kerafer.untrusted import read_json


@dataclasses.dataclass(frozen=True)
class Answers:
    """How a model's answers were changed, in its weights.

    Args:
        prior_correction: Power of the classes' shares that they were divided
            by. Defaults to 0.
        temperature: That its logits were divided by then. Defaults to none.
        vote_temperature: That its logits must be divided by for the shares of
            people, where labels are votes. Defaults to none.
    """

    prior_correction: float = 0.0
    temperature: float | None = None
    vote_temperature: float | None = None

    def as_dict(self) -> dict[str, float]:
        """What there is, for a JSON file."""
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if value
        }

    def told(self) -> str | None:
        """In words, for a report."""
        done = []
        if self.prior_correction:
            done.append(
                "probabilities divided by the classes' shares in the training "
                f"labels to the power of {self.prior_correction:g}"
            )
        if self.temperature is not None:
            done.append(
                f"logits divided by {self.temperature:.3f}, of lowest "
                "cross-entropy on the validation images"
            )
        if self.vote_temperature is not None:
            done.append(
                f"divided by {self.vote_temperature:.3f} they are nearest to "
                "the votes"
            )
        return "; ".join(done) or None


def finish_answers(
    model: keras.Model,
    config: TrainingConfig,
    folder: RunFolder,
    images: np.ndarray,
    targets: np.ndarray,
    train: np.ndarray,
    validation: np.ndarray,
    votes: bool,
) -> Answers:
    """Correct a run's best model for the prior, and calibrate it.

    The model is changed, and so is the run's file of it. A run that is broken
    off here and resumed does it once all the same.

    Args:
        model: The best one, as loaded.
        config: `prior_correction` and `calibrate` are taken.
        folder: The run's.
        images: All, uint8.
        targets: Share of each class in every label, `(images, classes)`.
        train: Rows of the training part.
        validation: Rows of the validation part.
        votes: Whether labels are votes of several people.
    """
    wanted = config.prior_correction or config.calibrate
    if not (wanted or votes):
        return Answers()
    if (done := _done(folder, model)) is not None:
        return done
    answers = change_answers(
        model,
        Batches(images, targets, config.batch_size, validation),
        prior=targets[train].mean(axis=0),
        prior_correction=config.prior_correction,
        calibrate=config.calibrate,
        votes=votes,
    )
    facts = {"weights": _digest(model), **answers.as_dict()}
    # First what tells that it is done, then what it is done to.
    write_text(folder.answers, json.dumps(facts, indent=2) + "\n")
    if wanted:
        save_model(model, folder.best)
    return answers


def change_answers(
    model: keras.Model,
    batches: Batches,
    prior: np.ndarray,
    prior_correction: float,
    calibrate: bool,
    votes: bool,
) -> Answers:
    """Correct a model for the prior, and calibrate it, in its weights.

    Args:
        model: As it was trained.
        batches: Validation images with the share of each class.
        prior: Share of each class in the training labels.
        prior_correction: Power of it to divide by.
        calibrate: Whether to scale the logits.
        votes: Whether labels are votes of several people.
    """
    if prior_correction:
        divide_by_prior(model, prior, prior_correction)
    said = model.predict(batches, verbose=0)
    targets = batches.targets[batches.rows]
    temperature = vote_temperature = None
    if calibrate:
        labels = np.eye(targets.shape[1])[targets.argmax(axis=1)]
        temperature = find_temperature(labels, said)
        divide_logits(model, temperature)
    if votes:
        # As if it had been asked again, after that division.
        vote_temperature = find_temperature(targets, said)
        vote_temperature /= temperature or 1.0
    return Answers(prior_correction, temperature, vote_temperature)


def _done(folder: RunFolder, model: keras.Model) -> Answers | None:
    try:
        facts: dict[str, Any] = read_json(folder.answers)
        if facts.pop("weights") == _digest(model):
            return Answers(**{name: float(v) for name, v in facts.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def _digest(model: keras.Model) -> str:
    found = hashlib.sha256()
    for values in model.get_weights():
        found.update(np.ascontiguousarray(values).tobytes())
    return found.hexdigest()
