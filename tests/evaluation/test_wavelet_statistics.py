"""How much wavelets respond, compared with hand-made layers."""

import keras
import numpy as np
import pytest

from kerafer.evaluation.wavelet_statistics import (
    wavelet_gradients,
    wavelet_statistics,
)
from kerafer.layers import WaveletChannelAttention

RNG = np.random.default_rng(0)


def build(nested=False):
    image = keras.Input((4, 4, 8))
    layer = WaveletChannelAttention(ratio=2, shared=False, name="wca")
    x = layer(image)
    if nested:
        inner = keras.Model(image, x)
        image = keras.Input((4, 4, 8))
        x = inner(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(3, activation="softmax")(x)
    return keras.Model(image, x), layer


@pytest.mark.parametrize("nested", [False, True])
def test_statistics_are_those_of_t(nested):
    model, layer = build(nested)
    images = RNG.normal(size=(70, 4, 4, 8)).astype(np.float32)
    layer.wavelets[1].shift.assign([0.0, 0.0, 50.0, 50.0])
    table = wavelet_statistics(model, images).set_index("pool")
    t = images.max((1, 2)) @ np.array(layer.reduce_kernels[0])
    assert table.loc["max", "t_median"] == pytest.approx(np.median(t), abs=1e-4)
    assert table.loc["max", "abs_t_median"] == pytest.approx(
        np.median(np.abs(t)), abs=1e-4
    )
    psi = np.cos(1.75 * t) * np.exp(-(t**2) / 2)
    assert table.loc["max", "psi_deviation"] == pytest.approx(
        psi.std(0).mean(), abs=1e-4
    )
    # Two of four channels are shifted to where psi has faded.
    assert table.loc["average", "responding"] == 0.5

    def slope(t):
        wave = 1.75 * np.sin(1.75 * t) + t * np.cos(1.75 * t)
        return np.abs(wave * np.exp(-(t**2) / 2))

    steepest = slope(np.linspace(0, 3, 3001)).max()
    assert table.loc["max", "sensitive"] == pytest.approx(
        (slope(t) >= 0.25 * steepest).mean(), abs=0.01
    )
    gate = np.array(layer.gate(images))
    assert table.loc["max", "gate_deviation"] == pytest.approx(
        gate.std(0).mean(), abs=1e-5
    )


def test_gradients_are_the_slope_of_the_loss():
    model, layer = build()
    images = RNG.normal(size=(40, 4, 4, 8)).astype(np.float32)
    labels = RNG.integers(0, 3, 40)
    (row,) = wavelet_gradients(model, images, labels).to_dict("records")

    def loss():
        found = np.array(model(images))
        return -np.log(found[np.arange(40), labels]).mean()

    slopes = []
    for psi in layer.wavelets:
        for place in range(4):
            start = np.array(psi.scale)
            losses = []
            for step in (1e-2, -1e-2):
                moved = start.copy()
                moved[place] += step
                psi.scale.assign(moved)
                losses.append(loss())
            psi.scale.assign(start)
            slopes.append((losses[0] - losses[1]) / 2e-2)
    assert row["scale_gradient"] == pytest.approx(
        np.linalg.norm(slopes), rel=0.05
    )
    assert row["kernel_gradient"] > 0 and row["shift_gradient"] > 0
