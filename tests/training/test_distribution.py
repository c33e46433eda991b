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
        images, np.ones((22, 1), np.float32), 32, seed=3, multiple=4
    )
    # A batch of more images than there are is as large as 4 can share.
    assert [len(b) for b, _ in batches] == [20, 20]


ALL = ("--num-processes", "2", "--process-id", "0", "--coordinator", "a:1")


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("--num-processes", "2"), "Missing: --process-id, --coordinator"),
        ((*ALL[:3], "2", *ALL[4:]), "--process-id is 0 to 1"),
        ((*ALL[:1], "0", *ALL[2:]), "--num-processes must be at least 1"),
        ((*ALL[:5], "here"), "host:port"),
        ((*ALL, "--batch-size", "9"), "a multiple of --num-processes"),
        ((*ALL, "--folds", "3"), "--folds"),
        (
            (*ALL, "--devices", "all"),
            "--devices all",
        ),
        (ALL, "KERAS_BACKEND=jax"),
        (("--devices", "all"), "Keras sees 1 CPU"),
    ],
)
def test_a_mistake_is_told_before_anything_is_trained(
    words, rule, tmp_path, monkeypatch, capfd
):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    out = tmp_path / "run"
    words = ("train", *TRAINING, *words, "--out", str(out))
    assert main([*words]) == 2
    told = capfd.readouterr().err
    assert rule in told
    assert len(told.splitlines()) <= 5
    assert not out.exists()


def epochs_over(run):
    """Those that a resumption would have behind it."""
    states = (run / "backup").glob("[0-9]*")
    return max((int(state.name) for state in states), default=0)


def lose_one(processes, run, lost, how, epochs):
    """Kill one of two in training; what the other says of it."""
    deadline = time.monotonic() + 300
    while epochs_over(run) < epochs:
        assert time.monotonic() < deadline
        assert processes[0].poll() is None
        time.sleep(0.02)
    processes[lost].send_signal(how)
    processes[lost].communicate()
    code, told = end(processes[1 - lost], 60)
    assert code == 2
    assert "lost one of its processes" in told
    assert f"--resume {run} --num-processes 2 --process-id {1 - lost}" in told
    # Nothing that JAX says of it, but for a part of one line.
    told = told[told.index("kerafer train:") :]
    assert "Traceback" not in told and len(told.splitlines()) <= 5
    assert not (run / "metrics.json").exists()


@pytest.mark.slow
def test_a_lost_process_ends_all_and_all_go_on(tmp_path):
    out = tmp_path / "run"
    words = (*TRAINING, "--epochs", "30", "--patience", "30", "--out", out)
    lose_one(together(*words), out, 1, signal.SIGKILL, 2)
    # The first is where all meet; without it JAX ends a process from within.
    again = together("--resume", out)
    lose_one(again, out, 0, signal.SIGTERM, epochs_over(out) + 1)

    for process in together("--resume", out):
        code, told = end(process, 500)
        assert code == 0, told
    history = pd.read_csv(out / "history.csv")
    assert history["epoch"].tolist() == list(range(30))
    # TensorFlow scores and exports what JAX trained.
    again = tmp_path / "again"
    words = ("--model", str(out), "--out", str(again))
    assert main(["evaluate", *words]) == 0
    scores, others = (
        pd.read_csv(folder / "predictions.csv") for folder in (out, again)
    )
    numbers = scores.select_dtypes("number").columns
    np.testing.assert_allclose(scores[numbers], others[numbers], atol=1e-5)
    words = ("--model", str(out), "--formats", "float32")
    assert main(["export", *words, "--out", str(tmp_path / "export")]) == 0


@pytest.mark.slow
def test_ctrl_c_in_one_process_ends_both(tmp_path):
    out = tmp_path / "run"
    words = (*TRAINING, "--epochs", "500", "--patience", "500", "--out", out)
    first, second = together(*words)
    while epochs_over(out) < 1:
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)
    code, told = end(first, 60)
    assert code == 130
    assert f"--resume {out} --num-processes 2 --process-id 0" in told
    assert end(second, 60)[0] == 2
