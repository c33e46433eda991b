"""Kills and full disks. All of these take minutes: `make faults`."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
MOST_SECONDS = 300
TRAIN = [
    *("train", "--arch", "kerafer_edge", "--options", "width=0.25"),
    *("--dataset", "synthetic", "--subjects", "6", "--image-size", "48"),
    *("--augment", "none", "--precision", "float32"),
]
pytestmark = pytest.mark.slow


def start(words, folder):
    return subprocess.Popen(
        [sys.executable, "-m", "kerafer", *map(str, words)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process, codes=(0,)):
    said, _ = process.communicate(timeout=MOST_SECONDS)
    assert process.returncode in codes and "Traceback" not in said, said[-500:]
    return said


def kill(process, seconds, how):
    """Kill a process, unless it ends before."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(how)
    process.communicate()


def left_over(folder, pattern=".*"):
    return {p.name for p in folder.glob(pattern)} - {".lock"}


def test_a_training_killed_at_any_moment_resumes(tmp_path):
    words = [*TRAIN, "--epochs", "4", "--out"]
    finish(start([*words, "whole"], tmp_path))
    expected = (tmp_path / "whole" / "history.csv").read_text().count("\n")
    generator = random.Random(0)
    for number in range(8):
        out = tmp_path / f"run{number}"
        how = (signal.SIGKILL, signal.SIGTERM)[number % 2]
        kill(start([*words, out], tmp_path), generator.uniform(4, 16), how)
        again = ["train", "--resume", out]
        if not (out / "config.yaml").is_file():
            shutil.rmtree(out, ignore_errors=True)
            again = [*words, out]
        if not (out / "metrics.json").is_file():
            finish(start(again, tmp_path))
        assert (out / "history.csv").read_text().count("\n") == expected
        assert not left_over(out) and not (out / "backup").exists()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    # TensorBoard and the exports are written by TensorFlow, which wants UTF-8.
    out = folder / os.fsdecode(b"r\xf6n")
    finish(start([*TRAIN, "--epochs", "1", "--out", out], folder))
    return out


def test_an_export_over_another_is_whole_after_a_kill(run, tmp_path):
    words = ["export", "--model", run, "--out", "out", "--force", "--formats"]
    finish(start([*words, "float16", "--ignore-gates"], tmp_path))
    out = tmp_path / "out"
    before = {p.name for p in out.iterdir()}
    generator = random.Random(0)
    for _ in range(6):
        process = start([*words, "float32", "--ignore-gates"], tmp_path)
        kill(process, generator.uniform(3, 14), signal.SIGKILL)
        finish(start([*words, "float16", "--ignore-gates"], tmp_path))
        names = {p.name for p in out.iterdir()}
        assert before <= names
        manifest = json.loads((out / "manifest.json").read_text())
        assert set(manifest["files"]) <= names
        assert left_over(tmp_path, ".out.*") <= {".out.lock"}


def test_a_run_is_written_by_one_process(tmp_path):
    out = tmp_path / "run"
    first = start([*TRAIN, "--epochs", "99", "--out", out], tmp_path)
    until = time.monotonic() + MOST_SECONDS
    while not (out / "backup").is_dir():
        assert first.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    said = finish(start(["train", "--resume", out], tmp_path), codes=(2,))
    assert "locked" in said
    first.send_signal(signal.SIGTERM)
    finish(first, codes=(130,))


@pytest.fixture
def small_disk(tmp_path, request):
    """A disk of some megabytes, at `disk`."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = f"size={request.param}m"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("small_disk", [1, 2, 4, 8], indirect=True)
@pytest.mark.parametrize("command", ["train", "export", "predict"])
def test_a_full_disk_gets_a_sentence(command, small_disk, run, tmp_path):
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (900, 700, 3)).astype(np.uint8)
    for number in range(9):
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    words = {
        "train": [*TRAIN, "--epochs", "2"],
        "export": ["export", "--model", run, "--ignore-gates"],
        "predict": ["predict", *tmp_path.glob("*.png"), "--detector", "none"],
    }[command]
    said = finish(start([*words, "--out", "disk/out"], tmp_path), (0, 2))
    assert len(said.splitlines()) <= 60
    assert not left_over(small_disk, ".*.part")
