"""Several devices and processes train as one."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kerafer.cli import main
from kerafer.datasets.pipeline import TrainingBatches
from kerafer.errors import ConfigError
from kerafer.training.distributed import DeviceConfig

SCRIPT = Path(__file__).with_name("distributed_fit.py")
TRAINING = (
    *("--arch", "kerafer_edge", "--options", "width=0.25", "--dataset"),
    *("synthetic", "--subjects", "4", "--angles", "S", "--image-size", "24"),
    *("--augment", "none", "--batch-size", "8"),
)


def start(*words, backend="tensorflow"):
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        env={**os.environ, "KERAS_BACKEND": backend},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process, seconds=240):
    """Exit code and standard error."""
    _, told = process.communicate(timeout=seconds)
    return process.returncode, told


def free_address():
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return f"localhost:{found.getsockname()[1]}"


def together(*words, count=2):
    """The same command as several processes on JAX."""
    address = free_address()
    return [
        start(
            *("-m", "kerafer", "train", *words, "--num-processes", count),
            *("--process-id", index, "--coordinator", address),
            backend="jax",
        )
        for index in range(count)
    ]


# Of a processor, for JAX.
TWO_DEVICES = "--xla_force_host_platform_device_count=2"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder of one process with one device, on TensorFlow."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    assert end(start(SCRIPT, folder, "one"))[0] == 0
    return folder


def assert_same(one, other):
    history, others = (pd.read_csv(f / "history.csv") for f in (one, other))
    names = [n for n in history if n not in ("seconds", "images_per_second")]
    assert len(history) == 2
    np.testing.assert_allclose(history[names], others[names], rtol=2e-5)
    with np.load(one / "weights.npz") as a, np.load(other / "weights.npz") as b:
        for name in a.files:
            np.testing.assert_allclose(a[name], b[name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_train_as_one(alone, tmp_path, monkeypatch, backend):
    monkeypatch.setenv("XLA_FLAGS", TWO_DEVICES)
    code, told = end(
        start(SCRIPT, tmp_path / "run", "replicas", backend=backend)
    )
    assert code == 0, told
    assert_same(alone, tmp_path / "run")


@pytest.mark.parametrize("flags", ["", TWO_DEVICES])
def test_two_processes_on_jax_train_as_one_on_tensorflow(
    alone, tmp_path, monkeypatch, flags
):
    monkeypatch.setenv("XLA_FLAGS", flags)
    address = free_address()
    runs = [tmp_path / "first", tmp_path / "second"]
    processes = [
        start(SCRIPT, run, "processes", 2, index, address, backend="jax")
        for index, run in enumerate(runs)
    ]
    for process in processes:
        code, told = end(process)
        assert code == 0, told
    for run in runs:
        assert_same(alone, run)


def test_processes_share_every_batch_and_nothing_twice():
    images = np.arange(22, dtype=np.uint8).reshape(22, 1, 1, 1)
    targets = np.ones((22, 1), np.float32)
    whole = TrainingBatches(images, targets, 6, seed=3)
    parts = [
        TrainingBatches(images, targets, 6, seed=3, share=(index, 3))
        for index in range(3)
    ]
    wanted = [b.ravel() for b, _ in whole]
    assert [len(b) for b in wanted] == [6, 6, 6, 6]
    shares = [[b.ravel() for b, _ in part] for part in parts]
    for number, batch in enumerate(wanted):
        found = np.concatenate([share[number] for share in shares])
        assert found.tolist() == batch.tolist()
    assert {part.steps for part in parts} == {4}


def test_devices_share_every_batch_evenly():
    images = np.arange(22, dtype=np.uint8).reshape(22, 1, 1, 1)
    batches = TrainingBatches(
        images, np.ones((22, 1), np.float32), 32, seed=3, num_devices=4
    )
    # A batch of more images than there are is as large as 4 can share.
    assert [len(b) for b, _ in batches] == [20, 20]


ALL = {"num_processes": 2, "process_id": 0, "coordinator": "a:1"}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"num_processes": 2}, "coordinator"),
        (ALL | {"process_id": 2}, "process_id"),
        (ALL | {"num_processes": 0}, "num_processes"),
        (ALL | {"coordinator": "here"}, "coordinator"),
    ],
)
def test_processes_that_cannot_meet_are_refused(settings, named):
    with pytest.raises(ConfigError) as caught:
        DeviceConfig(**settings)
    assert named in caught.value.settings


def test_what_processes_need_is_checked_first(tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    with pytest.raises(ConfigError, match="batch_size"):
        DeviceConfig(**ALL).check(9)
    words = [f"--{k.replace('_', '-')}={v}" for k, v in ALL.items()]
    out = tmp_path / "run"
    assert main(["train", *TRAINING, *words, "--out", str(out)]) == 2
    assert "KERAS_BACKEND=jax" in capfd.readouterr().err
    assert not out.exists()


def epochs_over(run):
    """Those that a resumption would have behind it."""
    states = (run / "backup").glob("[0-9]*")
    return max((int(state.name) for state in states), default=0)


@pytest.mark.slow
def test_processes_go_on_after_one_was_lost(tmp_path):
    out = tmp_path / "run"
    words = (*TRAINING, "--epochs", "20", "--patience", "30", "--out", out)
    first, second = together(*words)
    deadline = time.monotonic() + 300
    while epochs_over(out) < 2:
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.02)
    second.send_signal(signal.SIGKILL)
    second.communicate()
    # JAX ends the others.
    assert end(first, 150)[0] != 0
    assert not (out / "metrics.json").exists()

    for process in together("--resume", out):
        code, told = end(process, 500)
        assert code == 0, told
    history = pd.read_csv(out / "history.csv")
    assert history["epoch"].tolist() == list(range(20))
    # TensorFlow scores what JAX trained.
    again = tmp_path / "again"
    words = ("--model", str(out), "--out", str(again))
    assert main(["evaluate", *words]) == 0
    scores, others = (
        pd.read_csv(folder / "predictions.csv") for folder in (out, again)
    )
    numbers = scores.select_dtypes("number").columns
    np.testing.assert_allclose(scores[numbers], others[numbers], atol=1e-5)
