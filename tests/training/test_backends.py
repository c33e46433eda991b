"""Training without TensorFlow, on every backend, and on held images."""

import importlib.util
import os
import signal
import sys
import time

import numpy as np
import pandas as pd
import pytest
from harness import assert_same_history, run_kerafer

import kerafer
from kerafer.engine import backend_name

TRAINING = (
    *("train", "--dataset", "synthetic", "--subjects", "4", "--angles", "S"),
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
import kerafer.datasets.device as device
device.fits_on_device = lambda size: True
from kerafer.cli import main
sys.exit(main(sys.argv[1:]))
"""


def environment(backend):
    """Of a process that computes with a backend of Keras'."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    return {**os.environ, "KERAS_BACKEND": backend}


@pytest.fixture
def without_tensorflow(tmp_path):
    """Of a process on another backend that can't import TensorFlow."""
    blocked = tmp_path / "blocked" / "tensorflow"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ImportError('blocked')")
    paths = [str(blocked.parent), os.environ.get("PYTHONPATH", "")]
    paths = os.pathsep.join(filter(None, paths))
    return lambda backend: environment(backend) | {"PYTHONPATH": paths}


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
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_without_tensorflow_a_run_trains_resumes_and_is_evaluated(
    tmp_path, without_tensorflow, backend
):
    env = without_tensorflow(backend)
    broken = whole_and_broken("kerafer_edge", tmp_path, env=env)
    words = ("evaluate", "--model", broken, "--out", tmp_path / "scores")
    told = run_kerafer(*words, env=env)
    assert "accuracy" in told.lower()
    words = ("export", "--model", broken, "--out", tmp_path / "exported")
    with pytest.raises(AssertionError, match="Exports are made by TensorFlow"):
        run_kerafer(*words, env=env)
    assert "tensorflow" not in (broken / "report.md").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("arch", MODELS)
def test_a_resumed_run_with_dropout_is_the_unbroken_one(arch, tmp_path):
    broken = whole_and_broken(arch, tmp_path, "--deterministic")
    runs = [kerafer.Run.open(path) for path in (tmp_path / "whole", broken)]
    for name in ("test", "split", "notes"):
        assert runs[0].metrics[name] == runs[1].metrics[name]
    weights = [run.model.get_weights() for run in runs]
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)
    assert not (broken / "backup").exists()


@pytest.mark.slow
def test_images_on_the_device_train_as_those_that_are_sent(
    tmp_path, without_tensorflow
):
    words = [*TRAINING, *MODELS["kerafer_edge"]]
    held, sent = tmp_path / "held", tmp_path / "sent"
    env = without_tensorflow("jax")
    run_kerafer(*words, "--out", sent, env=env)
    run_kerafer(*words, "--out", held, program=("-c", HELD), env=env)
    assert_same_history(held, sent, 3, rtol=2e-2, atol=2e-2)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_first_ten_losses_are_those_of_tensorflow(tmp_path, backend):
    import keras

    from kerafer.datasets.kdef import CLASSES
    from kerafer.models import create_model
    from kerafer.models.save import save_model

    # Each backend draws other weights, and drops other units; this has none.
    keras.utils.set_random_seed(1)
    model = create_model("msc_wca_resnet18", len(CLASSES), (32, 32, 3))
    save_model(model, tmp_path / "start.keras")
    (tmp_path / "labels.txt").write_text("\n".join(CLASSES.values()))
    # An epoch is one step.
    words = [*TRAINING, "--arch", "msc_wca_resnet18", "--image-size", "32"]
    words += ["--augment", "none", "--mix", "none", "--batch-size", "64"]
    words += ["--epochs", "10", "--init-from", tmp_path / "start.keras"]
    losses = []
    for name in ("tensorflow", backend):
        run = tmp_path / name
        run_kerafer(*words, "--out", run, env=environment(name))
        losses.append(pd.read_csv(run / "history.csv")["loss"].to_numpy())
    np.testing.assert_allclose(*losses, atol=1e-3)
    # The comparison would see another way of training.
    assert losses[0][-1] < 0.9 * losses[0][0]


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
