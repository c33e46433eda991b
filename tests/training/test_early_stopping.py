"""When a training stops, worked out by hand."""

import math

import keras
import numpy as np
from keras import layers

from kerafer.training.callbacks import EarlyStopping


def stopped(losses, patience, min_delta, past=(), best=None):
    """The epoch after which it stopped, and what it kept."""
    model = keras.Sequential([layers.Input((1,)), layers.Dense(1)])
    stopping = EarlyStopping(patience, min_delta, past, best)
    stopping.set_model(model)
    model.stop_training = False
    stopping.on_train_begin()
    for epoch, loss in enumerate(losses, len(past)):
        model.set_weights([np.array([[float(epoch)]]), np.zeros(1)])
        stopping.on_epoch_end(epoch, {"val_loss": loss})
        if model.stop_training:
            break
    else:
        epoch = None
    stopping.on_train_end()
    return epoch, float(model.get_weights()[0].item()), stopping.best


def test_a_gain_below_min_delta_is_none():
    losses = [1.0, 0.95, 0.9, 0.85]
    assert stopped(losses, 2, 0.2)[:2] == (2, 0.0)
    assert stopped(losses, 2, 0.04)[0] is None
    # Gains too small one by one count from the last that counted.
    assert stopped([1.0, 0.9, 0.79, 0.7], 2, 0.2) == (None, 2.0, 0.79)


def test_the_first_epoch_can_be_the_best():
    assert stopped([0.1, 0.2, 0.3], 2, 1e-5) == (2, 0.0, 0.1)


def test_a_first_loss_that_is_no_number_is_beaten():
    epoch, kept, best = stopped([math.nan, 0.5, 0.6, 0.7], 2, 1e-5)
    assert (epoch, kept, best) == (3, 1.0, 0.5)


def test_it_stops_after_a_resumption_as_without(tmp_path):
    file = tmp_path / "best.keras"
    model = keras.Sequential([layers.Input((1,)), layers.Dense(1)])
    model.set_weights([np.array([[7.0]]), np.zeros(1)])
    model.save(file)
    # Two epochs without gain are behind it: one more and it is over.
    epoch, kept, best = stopped([0.4], 3, 1e-5, (0.3, 0.5, 0.4), file)
    assert (epoch, kept, best) == (3, 7.0, 0.3)
    epoch, kept, _ = stopped([0.2, 0.3], 3, 1e-5, (0.3, 0.5, 0.4), file)
    assert (epoch, kept) == (None, 3.0)
