"""What a training sets for its process is taken back, whatever happens."""

import json
import random

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tensorflow.python.framework import config as tensorflow_config

from kerafer.cli import main
from kerafer.models import create_model, load_model
from kerafer.training.precision import resolve_precision
from kerafer.training.scope import training_settings

TINY = [
    *("--arch", "cnn", "--dataset", "synthetic", "--subjects", "5"),
    *("--image-size", "64", "--epochs", "1", "--augment", "none"),
    *("--deterministic", "--seed", "7", "--precision", "mixed_bfloat16"),
]


def _streams():
    """The next numbers of every stream that a caller may have seeded."""
    return [
        random.random(),
        np.random.random(),
        float(keras.random.uniform(())),
        float(keras.layers.Dense(1)(np.ones((1, 1)))[0, 0]),
        float(tf.random.uniform(())),
        float(tf.random.uniform((), seed=5)),
    ]


def _state():
    return keras.config.dtype_policy(), (
        tensorflow_config.is_op_determinism_enabled()
    )


def _broken(*_args, **_kwargs):
    raise RuntimeError("on purpose")


def _interrupted(*_args, **_kwargs):
    raise KeyboardInterrupt


@pytest.mark.parametrize("ending", ["over", "mistake", "defect", "Ctrl-C"])
def test_a_training_leaves_its_caller_as_it_was(ending, tmp_path, monkeypatch):
    words = ["train", *TINY, "--out", str(tmp_path / "run")]
    broken = {"defect": _broken, "Ctrl-C": _interrupted}.get(ending)
    if broken:
        monkeypatch.setattr("kerafer.training.fit.fit", broken)
    if ending == "mistake":
        words += ["--init-from", str(tmp_path / "none")]
    keras.config.set_dtype_policy("float64")
    keras.utils.set_random_seed(3)
    _streams()
    alone = _streams()
    keras.utils.set_random_seed(3)
    _streams()
    before = _state()
    if ending == "defect":
        with pytest.raises(RuntimeError, match="on purpose"):
            main(words)
    else:
        code = {"over": 0, "mistake": 2, "Ctrl-C": 130}[ending]
        assert main(words) == code
    assert _state() == before
    assert _streams() == alone


def test_the_seed_decides_inside_and_determinism_is_on():
    def draw(seed):
        with training_settings(seed, True, "mixed_bfloat16"):
            assert keras.config.dtype_policy().name == "mixed_bfloat16"
            assert tensorflow_config.is_op_determinism_enabled()
            # Of TensorFlow's own streams only what is traced begins again.
            return _streams()[:4]

    assert draw(1) == draw(1) != draw(2)
    keras.utils.set_random_seed(1)
    assert keras.config.dtype_policy().name == "float32"
    assert not tensorflow_config.is_op_determinism_enabled()


def test_determinism_that_the_caller_chose_stays():
    tf.config.experimental.enable_op_determinism()
    try:
        with training_settings(1, False, "float32"):
            pass
        assert tensorflow_config.is_op_determinism_enabled()
    finally:
        tensorflow_config.disable_op_determinism()


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_run_holds_a_model_of_single_precision(precision, tmp_path):
    run = tmp_path / "run"
    words = ["train", *TINY, "--out", str(run), "--precision", precision]
    assert main(words) == 0
    # Loaded by Keras alone, which takes the file as it is.
    kept = keras.models.load_model(run / "best.keras")
    formats = {layer.compute_dtype for layer in kept.layers[1:]}
    assert formats == {"float32"}
    # The same network by its weights: those of the same layers.
    twin = create_model("cnn", 7, (64, 64, 3))
    twin.set_weights(kept.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    np.testing.assert_array_equal(
        kept.predict_on_batch(images), twin.predict_on_batch(images)
    )
    np.testing.assert_array_equal(
        load_model(run).predict_on_batch(images), twin.predict_on_batch(images)
    )


@pytest.mark.parametrize(
    "policy", ["mixed_bfloat16", "mixed_float16", "bfloat16"]
)
def test_a_model_of_half_precision_is_loaded_in_single(policy, tmp_path):
    # As runs held them once, and as users make them.
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


@pytest.mark.trains
def test_from_training_to_files_in_the_precision_of_auto(
    tmp_path, auto_precision
):
    run, exported = tmp_path / "run", tmp_path / "exported"
    words = [*TINY[:-2], "--ema", "0.9", "--out", str(run)]
    assert main(["train", *words]) == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["precision"] == (auto_precision or resolve_precision("auto"))
    scored = tmp_path / "scored"
    assert main(["evaluate", "--model", str(run), "--out", str(scored)]) == 0
    kept = pd.read_csv(run / "predictions.csv")
    again = pd.read_csv(scored / "predictions.csv")
    columns = [name for name in kept if name.startswith("p_")]
    np.testing.assert_allclose(kept[columns], again[columns], atol=1e-5)
    words = ["--formats", "float16,keras", "--out", str(exported)]
    code = main(["export", "--model", str(run), *words])
    if keras.backend.backend() != "tensorflow":
        assert code == 2
        return
    assert code == 0
    manifest = json.loads((exported / "manifest.json").read_text())
    facts = manifest["files"]["float16.tflite"]
    assert facts["largest_difference"] < 2e-3
