"""The included models, as a new user finds them."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kerafer
from kerafer.cli import main
from kerafer.errors import UserError
from kerafer.inference import ModelSource
from kerafer.model_files import included_model, included_models
from kerafer.models import load_model

ROOT = Path(__file__).parents[2]
CLASSES = ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
CLASSES += ["contempt"]
SMALL = "kerafer_edge_small_ferplus"


@pytest.fixture(scope="module")
def manifest():
    text = (included_model() / "manifest.json").read_text(encoding="utf-8")
    return json.loads(text)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A drawn person who smiles."""
    folder = tmp_path_factory.mktemp("drawn")
    words = ("--subjects", "1", "--angles", "S", "--out", str(folder / "faces"))
    assert main(["synthesize", *words]) == 0
    return folder / "faces" / "AF01" / "AF01HAS.JPG"


def test_its_files_are_those_of_its_manifest(manifest):
    folder = included_model()
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    kinds = ("model.keras", "float16.tflite", "int8.tflite")
    assert set(manifest["files"]) == set(kinds)
    assert set(sizes) == {
        *kinds,
        *("labels.txt", "golden.npz", "manifest.json", "MODEL_CARD.md"),
    }
    assert sum(sizes.values()) < 8e6
    for name, facts in manifest["files"].items():
        data = (folder / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == facts["sha256"]


def test_its_name_stands_for_it(tmp_path, monkeypatch):
    name = "kerafer_edge_ferplus"
    assert included_model().name == name
    assert included_models() == (name, SMALL)
    monkeypatch.chdir(tmp_path)
    # Its figures are published, not those of float16.
    assert ModelSource.find(name).file == included_model() / "int8.tflite"
    assert load_model(name).output_shape == (None, 8)
    assert load_model(SMALL).output_shape == (None, 8)
    found = ModelSource.find(f"exported/{name}").file
    assert found == included_model() / "int8.tflite"
    with pytest.raises(UserError, match=f"{name}, {SMALL}"):
        ModelSource.find("kerafer_edge_fer2013")
    # What is there under a path comes first.
    (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=f"No model found in {name}"):
        ModelSource.find(name)


def test_no_link_stands_in_git():
    # On Windows one is a file with the path in it.
    listed = subprocess.run(
        ["git", "ls-files", "--stage"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    if listed.returncode:
        pytest.skip("not a git repository")
    assert not [x for x in listed.stdout.splitlines() if x[:6] == "120000"]


def test_it_answers_here_as_where_it_was_made():
    script = ROOT / "scripts" / "verify_export.py"
    assert (
        subprocess.run([sys.executable, script, included_model()]).returncode
        == 0
    )
    model = load_model(included_model() / "model.keras")
    with np.load(included_model() / "golden.npz") as golden:
        # The files take RGB; the Keras model sees gray, as its training did.
        gray = golden["images"] @ np.float32([0.299, 0.587, 0.114])
        gray = np.floor(gray + 0.5)[..., None]
        answers = model.predict(gray, verbose=0)
        np.testing.assert_allclose(answers, golden["keras"], atol=1e-4)


def test_its_scores_are_those_of_its_confusions(manifest):
    labels = (included_model() / "labels.txt").read_text().split()
    assert labels == manifest["labels"] == CLASSES
    card = (included_model() / "MODEL_CARD.md").read_text(encoding="utf-8")
    for kind in ("test", "external_test"):
        scores = manifest["scores"][kind]
        counts = np.array(scores["confusion"])
        assert scores["accuracy"] == pytest.approx(
            counts.trace() / counts.sum()
        )
        assert f"{scores['accuracy']:.1%}" in card
    # No folder of the machine that made it.
    for text in (card, json.dumps(manifest)):
        assert "/tmp" not in text and "/home" not in text


def test_a_photo_needs_no_flags(photo, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["predict", str(photo)]) == 0
    (row,) = pd.read_csv("predictions/predictions.csv").to_dict("records")
    assert row["label"] in CLASSES
    assert row["label"] in capsys.readouterr().err
    assert Path("predictions", "AF01HAS.jpg").exists()
    (face,) = kerafer.predict(photo)
    assert face.label == row["label"]
    assert face.probabilities[row["label"]] == pytest.approx(
        row[f"p_{row['label']}"], abs=1e-3
    )
