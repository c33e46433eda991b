"""Exported files in clients that need an environment of their own.

Run by `make test-clients`, which makes it:

    python -m venv build/mediapipe
    build/mediapipe/bin/pip install mediapipe==0.10.21
    MEDIAPIPE_PYTHON=build/mediapipe/bin/python pytest -m clients
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_export import CLASSES, exported, run

__all__ = ["exported", "run"]  # pytest finds fixtures by their names here.

CHECK = Path(__file__).with_name("mediapipe_check.py")


@pytest.mark.clients
@pytest.mark.parametrize(
    "kind", ["float32", "float16", "dynamic", "int8", "integer"]
)
def test_image_classifier_of_mediapipe(exported, kind):
    python = os.environ.get("MEDIAPIPE_PYTHON")
    assert python, "MEDIAPIPE_PYTHON names the Python that has MediaPipe"
    file = exported / f"{kind}.tflite"
    done = subprocess.run(
        [python, str(CHECK), str(file), str(exported / "golden.npz")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert all(set(answer) == set(CLASSES) for answer in answers)
    found = [[answer[name] for name in CLASSES] for answer in answers]
    with np.load(exported / "golden.npz") as golden:
        np.testing.assert_allclose(found, golden[file.name], atol=0.01)
