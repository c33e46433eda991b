"""When a training stops, worked out by hand."""

import math

import keras
import pytest
from keras import layers

from kerafer.training.callbacks import EarlyStopping


def stopped(losses, patience, min_delta, past=()):
    """The epoch after which it stopped, and the loss that was best."""
    model = keras.Sequential([layers.Input((1,)), layers.Dense(1)])
    stopping = EarlyStopping(patience, min_delta, past)
    stopping.set_model(model)
    stopping.on_train_begin()
    if stopping.stopped_epoch:
        return stopping.stopped_epoch, stopping.best
    model.stop_training = False
    for epoch, loss in enumerate(losses, len(past)):
        stopping.on_epoch_end(epoch, {"val_loss": loss})
        if model.stop_training:
            return epoch, stopping.best
    return None, stopping.best


def test_a_gain_below_min_delta_is_none():
    losses = [1.0, 0.95, 0.9, 0.85]
    assert stopped(losses, 2, 0.2) == (2, 1.0)
    assert stopped(losses, 2, 0.04)[0] is None
    # Gains too small one by one count from the last that counted.
    assert stopped([1.0, 0.9, 0.79, 0.7], 2, 0.2) == (None, 0.79)


def test_the_first_epoch_can_be_the_best():
    assert stopped([0.1, 0.2, 0.3], 2, 1e-5) == (2, 0.1)


def test_a_first_loss_that_is_no_number_is_beaten():
    assert stopped([math.nan, 0.5, 0.6, 0.7], 2, 1e-5) == (3, 0.5)


@pytest.mark.parametrize("cut", range(9))
def test_it_stops_after_a_resumption_as_without(cut):
    losses = [1.0, 0.5, 0.6, 0.499995, 0.4, 0.45, 0.41, 0.42, 0.3]
    assert stopped(losses[cut:], 3, 1e-5, losses[:cut]) == (7, 0.4)
