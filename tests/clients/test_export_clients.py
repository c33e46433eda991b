"""Exported files in clients that need an environment of their own.

Run by `make test-clients`, which makes them:

    python -m venv build/mediapipe
    build/mediapipe/bin/pip install mediapipe==0.10.21
    MEDIAPIPE_PYTHON=build/mediapipe/bin/python pytest -m clients

MEDIAPIPE_PYTHON may name several, with a colon between.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from striped_export import CLASSES, exported, run

from kerafer.model_files import included_model

__all__ = ["exported", "run"]  # pytest finds fixtures by their names here.

CHECK = Path(__file__).with_name("mediapipe_check.py")


def pythons():
    given = os.environ.get("MEDIAPIPE_PYTHON", "")
    assert given, "MEDIAPIPE_PYTHON names the Python that has MediaPipe"
    return given.split(os.pathsep)


def agree(file, classes):
    golden = file.with_name("golden.npz")
    for python in pythons():
        done = subprocess.run(
            [python, str(CHECK), str(file), str(golden)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        answers = json.loads(done.stdout.splitlines()[-1])
        assert all(set(answer) == set(classes) for answer in answers)
        found = [[answer[name] for name in classes] for answer in answers]
        with np.load(golden) as expected:
            np.testing.assert_allclose(found, expected[file.name], atol=0.01)


@pytest.mark.clients
@pytest.mark.parametrize("kind", ["float32", "float16", "dynamic", "int8"])
def test_image_classifier_of_mediapipe(exported, kind):
    agree(exported / f"{kind}.tflite", CLASSES)


# It takes RGB alone, and this model sees gray.
@pytest.mark.clients
@pytest.mark.parametrize("kind", ["float16", "int8"])
def test_the_shipped_gray_model_in_mediapipe(kind):
    classes = (included_model() / "labels.txt").read_text().split()
    agree(included_model() / f"{kind}.tflite", classes)
