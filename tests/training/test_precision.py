"""Precision, seeds and determinism of a training."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config as tensorflow_config

from kerafer.models import load_model
from kerafer.models.graph import in_float32
from kerafer.training.precision import processor_flags, resolve_precision
from kerafer.training.reproducibility import reproducible


def test_auto_precision_looks_at_the_processor(tmp_path, monkeypatch):
    for flags, expected in (
        ("fpu avx2 fma", "float32"),
        ("fpu avx512f avx512_bf16", "mixed_bfloat16"),
        ("fpu amx_bf16", "mixed_bfloat16"),
    ):
        file = tmp_path / "cpuinfo"
        file.write_text(f"processor : 0\nflags\t\t: {flags}\n")
        found = processor_flags(file)
        assert found == set(flags.split())
        monkeypatch.setattr(
            "kerafer.training.precision.processor_flags",
            lambda found=found: found,
        )
        monkeypatch.setattr(
            "kerafer.training.precision._gpu_capability", lambda: None
        )
        assert resolve_precision("auto") == expected
    for capability, expected in (
        ((6, 1), "float32"),
        ((7, 5), "mixed_float16"),
        ((8, 6), "mixed_bfloat16"),
    ):
        monkeypatch.setattr(
            "kerafer.training.precision._gpu_capability",
            lambda capability=capability: capability,
        )
        assert resolve_precision("auto") == expected
    assert resolve_precision("mixed_float16") == "mixed_float16"
    assert processor_flags(tmp_path / "none") == set()


def test_the_seed_decides_and_settings_are_restored():
    def draw(seed):
        with reproducible(seed, True, "mixed_bfloat16"):
            assert keras.config.dtype_policy().name == "mixed_bfloat16"
            assert tensorflow_config.is_op_determinism_enabled()
            return (
                random.random(),
                np.random.random(),
                float(keras.random.uniform(())),
                float(keras.layers.Dense(1)(np.ones((1, 1)))[0, 0]),
                float(tf.random.uniform(())),
            )

    assert draw(1) == draw(1) != draw(2)
    with pytest.raises(RuntimeError), reproducible(1, True, "float64"):
        raise RuntimeError
    assert keras.config.dtype_policy().name == "float32"
    assert not tensorflow_config.is_op_determinism_enabled()


def test_determinism_that_was_on_before_stays():
    tf.config.experimental.enable_op_determinism()
    try:
        with reproducible(1, False, "float32"):
            pass
        with reproducible(1, True, "float32"):
            pass
        assert tensorflow_config.is_op_determinism_enabled()
    finally:
        tensorflow_config.disable_op_determinism()


@pytest.mark.parametrize(
    "policy", ["mixed_bfloat16", "mixed_float16", "bfloat16"]
)
def test_a_model_of_half_precision_is_loaded_in_single(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    inner = keras.Sequential([keras.layers.Dense(3)], name="inner")
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="first")(image)
    x = inner(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, keras.layers.Softmax(dtype="float32")(x))
    model.save(tmp_path / "half.keras")
    keras.config.set_dtype_policy("float32")
    loaded = load_model(tmp_path / "half.keras")
    layers = loaded._flatten_layers(include_self=False)
    assert {layer.compute_dtype for layer in layers} == {"float32"}
    kernel = np.float32(model.get_layer("first").kernel)
    np.testing.assert_array_equal(kernel, loaded.get_layer("first").kernel)
    np.testing.assert_allclose(
        loaded.predict_on_batch(np.ones((1, 8, 8, 3))),
        model.predict_on_batch(np.ones((1, 8, 8, 3))),
        atol=0.02,
    )
    assert in_float32(loaded) is loaded
