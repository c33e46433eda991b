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
from kerafer.data.pipeline import TrainingBatches

SCRIPT = Path(__file__).with_name("distributed_fit.py")
TRAINING = (
    *("--arch", "kerafer_edge", "--options", "width=0.25", "--dataset"),
    *("synthetic", "--people", "6", "--image-size", "24", "--augment"),
    *("none", "--batch-size", "16"),
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


def test_two_devices_train_as_one(alone, tmp_path):
    code, told = end(start(SCRIPT, tmp_path / "run", "replicas"))
    assert code == 0, told
    assert_same(alone, tmp_path / "run")


def test_two_processes_on_jax_train_as_one_on_tensorflow(alone, tmp_path):
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
    labels = np.zeros(22, int)
    whole = TrainingBatches(images, labels, 1, 6, seed=3)
    parts = [
        TrainingBatches(images, labels, 1, 6, seed=3, share=(index, 3))
        for index in range(3)
    ]
    # 22 pictures divide among 3 but for one.
    wanted = [b.ravel() for b, _ in whole.batches.as_numpy_iterator()]
    assert [len(b) for b in wanted] == [6, 6, 6, 4]
    shares = [
        [b.ravel() for b, _ in part.batches.as_numpy_iterator()]
        for part in parts
    ]
    for number, batch in enumerate(wanted):
        found = np.concatenate([share[number] for share in shares])
        assert found.tolist() == batch[: len(batch) // 3 * 3].tolist()
    assert {part.steps for part in parts} == {4}


ALL = ("--num-processes", "2", "--process-id", "0", "--coordinator", "a:1")


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("--num-processes", "2"), "Missing: --process-id, --coordinator"),
        ((*ALL[:3], "2", *ALL[4:]), "--process-id is 0 to 1"),
        ((*ALL[:1], "0", *ALL[2:]), "--num-processes is at least 1"),
        ((*ALL[:5], "here"), "host:port"),
        ((*ALL, "--batch-size", "9"), "a multiple of --num-processes"),
        (ALL, "KERAS_BACKEND=jax"),
        (("--devices", "all"), "TensorFlow sees 1 CPU"),
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


@pytest.mark.slow
def test_a_lost_process_ends_all_and_all_go_on(tmp_path):
    out = tmp_path / "run"
    words = (*TRAINING, "--epochs", "12", "--out", out)
    first, second = together(*words)
    history, deadline = out / "history.csv", time.monotonic() + 500
    while not (history.is_file() and history.read_text().count("\n") > 3):
        assert time.monotonic() < deadline
        assert first.poll() is None
        time.sleep(0.05)
    second.send_signal(signal.SIGKILL)
    second.communicate()
    code, told = end(first, 60)
    assert code == 2
    assert "another process of this training ended" in told
    assert "Traceback" not in told
    assert not (out / "metrics.json").exists()

    for process in together("--resume", out):
        code, told = end(process, 500)
        assert code == 0, told
    history = pd.read_csv(out / "history.csv")
    assert history["epoch"].tolist() == list(range(12))
    # TensorFlow scores and exports what JAX trained.
    again = tmp_path / "again"
    words = ("--model", str(out), "--out", str(again))
    assert main(["evaluate", *words]) == 0
    scores, others = (
        pd.read_csv(folder / "predictions.csv") for folder in (out, again)
    )
    numbers = scores.select_dtypes("number").columns
    np.testing.assert_allclose(scores[numbers], others[numbers], atol=1e-5)
    words = ("--model", str(out), "--formats", "float32", "--allow-drop")
    assert main(["export", *words, "--out", str(tmp_path / "export")]) == 0
