"""Training without TensorFlow, and on held images."""

import os
import signal
import sys
import time

import numpy as np
import pytest
from harness import assert_same_history, run_kerafer

from kerafer.engine import backend_name

TRAINING = (
    *("train", "--dataset", "synthetic", "--people", "4", "--angles", "S"),
    *("--batch-size", "8", "--epochs", "3", "--precision", "float32"),
    *("--augment", "strong", "--mix", "both"),
)
MODELS = {
    "kerafer_edge": (
        *("--arch", "kerafer_edge", "--options", "width=0.25"),
        *("--image-size", "24"),
    ),
    "wca_mcnn": ("--arch", "wca_mcnn", "--image-size", "36"),
}
# As `fits_on_device` says with an accelerator.
HELD = """
import sys
import kerafer.training.device as device
device.fits_on_device = lambda size: True
from kerafer.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def without_tensorflow(tmp_path):
    """The environment of a process on JAX that can't import TensorFlow."""
    pytest.importorskip("jax")
    blocked = tmp_path / "blocked" / "tensorflow"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('blocked')")
    paths = [str(blocked.parent), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }


def killed_and_resumed(words, folder, **options):
    """A run killed once a backup stands, and what goes on from it."""
    process = run_kerafer(*words, "--out", folder, wait=False, **options)
    deadline = time.monotonic() + 240
    while not list(folder.glob("backup/[0-9]*")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (folder / "metrics.json").exists()
    run_kerafer("train", "--resume", folder, **options)


def whole_and_broken(arch, tmp_path, *words, **options):
    """Two runs of one history, one killed and resumed; returns that one."""
    words = [*TRAINING, *MODELS[arch], *words]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run_kerafer(*words, "--out", whole, **options)
    killed_and_resumed(words, broken, **options)
    assert_same_history(whole, broken, 3, check_exact=True)
    return broken


@pytest.mark.slow
def test_without_tensorflow_a_run_trains_resumes_and_is_evaluated(
    tmp_path, without_tensorflow
):
    broken = whole_and_broken("kerafer_edge", tmp_path, env=without_tensorflow)
    told = run_kerafer("evaluate", "--model", broken, env=without_tensorflow)
    assert "accuracy" in told.lower()
    assert "tensorflow" not in (broken / "report.md").read_text("utf-8")
    assert list((broken / "tensorboard" / "validation").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("arch", MODELS)
def test_a_resumed_run_with_dropout_is_the_unbroken_one(arch, tmp_path):
    whole_and_broken(arch, tmp_path, "--deterministic")


@pytest.mark.slow
def test_images_on_the_device_train_as_those_that_are_sent(
    tmp_path, without_tensorflow
):
    words = [*TRAINING, *MODELS["kerafer_edge"]]
    held, sent = tmp_path / "held", tmp_path / "sent"
    run_kerafer(*words, "--out", sent, env=without_tensorflow)
    run_kerafer(
        *(*words, "--out", held),
        program=("-c", HELD),
        env=without_tensorflow,
    )
    assert_same_history(held, sent, 3, rtol=2e-2, atol=2e-2)


def test_the_backend_is_known_before_keras_is_imported(tmp_path, monkeypatch):
    import keras

    assert backend_name() == keras.backend.backend()
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert backend_name() == "tensorflow"
    (tmp_path / "keras.json").write_text('{"backend": "jax"}', "utf-8")
    assert backend_name() == "jax"
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert backend_name() == "torch"
    monkeypatch.setenv("KERAS_BACKEND", "caffe")
    with pytest.raises(Exception, match="tensorflow, jax or torch"):
        backend_name()


def test_an_epoch_seeds_every_generator_anew():
    import keras

    from kerafer.data.pipeline import TrainingBatches
    from kerafer.training.epoch_order import EpochOrder

    inputs = keras.Input((4,))
    x = keras.layers.Dropout(0.5)(keras.layers.Dropout(0.5)(inputs))
    model = keras.Model(inputs, x)
    batches = TrainingBatches(
        np.zeros((4, 1, 1, 1), np.uint8), np.ones((4, 1), np.float32), 2, 5
    )
    order = EpochOrder(batches)
    order.set_model(model)

    def states(epoch):
        order.on_epoch_begin(epoch)
        return [tuple(v.numpy()) for v in model.non_trainable_variables]

    first = states(0)
    assert len(set(first)) == 2
    model(np.ones((2, 4)), training=True)
    assert states(1) != first
    assert states(0) == first
