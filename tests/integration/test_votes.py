"""Labels that are votes: read, learnt, scored and told."""

import json
import re
import subprocess
from importlib import resources
from pathlib import Path
from shutil import which

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import entropy

import kerafer
from kerafer.cli import main
from kerafer.datasets import load
from kerafer.errors import UserError
from kerafer.evaluation.votes import score_votes
from kerafer.inference import ModelSource
from kerafer.inference.probabilities import as_votes
from kerafer.runtime.results import count_votes, show_votes

NAMES = ("angry", "happy", "sad")


# === What people would say ===


def test_votes_are_shares_in_largest_remainders():
    # 6.4, 2.2, 1.4 of ten.
    votes = count_votes({"angry": 0.22, "happy": 0.64, "sad": 0.14}, 1.0)
    assert votes == {"happy": 7, "angry": 2, "sad": 1}
    assert list(votes) == ["happy", "angry", "sad"]
    assert show_votes(votes) == "estimated votes: happy 7, angry 2, sad 1 of 10"
    sure = count_votes({"angry": 0.999, "happy": 0.001, "sad": 0.0}, 1.0)
    assert show_votes(sure) == "estimated votes: angry 10 of 10"
    # Of four, at temperature 2: roots of the probabilities, 2 to 1 to 1.
    votes = count_votes({"angry": 4 / 6, "happy": 1 / 6, "sad": 1 / 6}, 2, 4)
    assert votes == {"angry": 2, "happy": 1, "sad": 1}
    assert show_votes(votes) == "estimated votes: angry 2, happy 1, sad 1 of 4"


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.3])
def test_votes_add_up_whatever_is_said(temperature):
    generator = np.random.default_rng(1)
    for row in generator.dirichlet(np.full(8, 0.3), 200):
        said = {str(i): float(p) for i, p in enumerate(row)}
        votes = count_votes(said, temperature)
        assert sum(votes.values()) == 10
        shares = as_votes(row[None], temperature)[0]
        for name, count in votes.items():
            assert abs(count - 10 * shares[int(name)]) < 1


@pytest.mark.skipif(which("node") is None, reason="Node.js is not installed")
def test_the_page_tells_the_same(tmp_path):
    generator = np.random.default_rng(2)
    rows = generator.dirichlet(np.full(8, 0.3), 100)
    labels = [f"class {i}" for i in range(8)]
    page = resources.files("kerafer.demo") / "page" / "votes.js"
    script = tmp_path / "votes.mjs"
    script.write_text(
        page.read_text("utf-8")
        + "for (const row of JSON.parse(process.argv[2])) console.log("
        "tellVotes(JSON.parse(process.argv[3]), row, 1.7));",
        "utf-8",
    )
    words = ["node", script, json.dumps(rows.tolist()), json.dumps(labels)]
    told = subprocess.run(words, capture_output=True, text=True, check=True)
    wanted = [
        show_votes(count_votes(dict(zip(labels, row, strict=True)), 1.7))
        for row in rows
    ]
    assert told.stdout.splitlines() == wanted


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("manifest.json", '{"votes": {"temperature": 1.5}}', 1.5),
        ("metrics.json", '{"vote_temperature": 2}', 2.0),
        ("manifest.json", '{"votes": {"temperature": 1e9}}', None),
        ("manifest.json", '{"votes": 3}', None),
        ("manifest.json", "[]", None),
        ("metrics.json", "{}", None),
    ],
)
def test_the_temperature_stands_beside_the_model(tmp_path, file, text, found):
    (tmp_path / file).write_text(text)
    assert ModelSource(tmp_path / "best.keras").vote_temperature == found


# === Scores ===


def test_the_divergence_is_jensens_and_shannons():
    said = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [1.0, 0.0, 0.0]])
    shares = np.array([[0.5, 0.5, 0.0], [0.1, 0.8, 0.1], [0.0, 1.0, 0.0]])
    labels = np.array([0, 1, 1])
    majority = np.array([False, True, True])
    votes = score_votes(shares, majority, labels, said, NAMES)
    middle = (said + shares) / 2
    each = (entropy(said.T, middle.T, 2) + entropy(shares.T, middle.T, 2)) / 2
    assert votes.divergence == pytest.approx(each.mean(), abs=1e-6)
    assert votes.per_class["angry"] == pytest.approx(each[0], abs=1e-6)
    assert each[2] == pytest.approx(1)
    assert votes.per_class["sad"] is None
    assert (votes.n_images, votes.agreed, votes.accuracy) == (3, 2, 0.5)


def test_reading_at_another_temperature_is_softmax_of_divided_logits():
    np.testing.assert_allclose(
        as_votes(np.array([[0.64, 0.32, 0.04]]), 2),
        [
            [
                0.8 / (1 + 0.32**0.5),
                0.32**0.5 / (1 + 0.32**0.5),
                0.2 / (1 + 0.32**0.5),
            ]
        ],
        atol=1e-9,
    )


# === From the images to the answer ===


def noise(file, seed, size=24):
    generator = np.random.default_rng(seed)
    low = generator.integers(0, 256, (4, 4), np.uint8)
    Image.fromarray(low).resize((size, size)).save(file)


def folder_of_votes(root, count=48):
    root.mkdir()
    generator = np.random.default_rng(0)
    rows = []
    for index in range(count):
        noise(root / f"{index}.png", index)
        votes = generator.multinomial(10, np.roll([0.6, 0.3, 0.1], index % 3))
        part = ("train", "train", "validation", "test")[index // 3 % 4]
        label = NAMES[int(votes.argmax())]
        rows.append((f"{index}.png", label, part, *votes))
    columns = ["path", "label", "split", *(f"prob:{n}" for n in NAMES)]
    pd.DataFrame(rows, columns=columns).to_csv(root / "manifest.csv")
    return root


def test_a_model_of_votes_from_training_to_the_answer(tmp_path, capsys):
    data = folder_of_votes(tmp_path / "votes")
    run, out = tmp_path / "run", tmp_path / "scored"
    words = ["--dataset", "folder", "--data-dir", str(data), "--image-size"]
    words += ["24", "--channels", "1", "--arch", "kerafer_edge", "--options"]
    words += ["width=0.25", "--epochs", "1", "--calibrate", "--split", "given"]
    words += ["--prior-correction", "0.4", "--out", str(run)]
    assert main(["train", *words]) == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["prior_correction"] == 0.4
    assert ModelSource(run / "best.keras").vote_temperature > 0
    report = (run / "report.md").read_text("utf-8")
    assert "soft labels" in report
    assert "power of 0.4" in report
    assert main(["evaluate", "--model", str(run), "--out", str(out)]) == 0
    votes = json.loads((out / "metrics.json").read_text())["votes"]
    assert 0 < votes["divergence"] < 1 and votes["agreed"] <= votes["n_images"]
    assert votes["temperature"] == pytest.approx(metrics["vote_temperature"])
    assert "Jensen-Shannon" in (out / "report.md").read_text("utf-8")
    capsys.readouterr()
    noise(tmp_path / "face.png", 99, 64)
    words = [str(tmp_path / "face.png"), "--model", str(run), "--detector"]
    assert main(["predict", *words, "none", "--out", str(tmp_path / "p")]) == 0
    told = capsys.readouterr().err
    assert re.search(r"face 1: (unsure: )?\w+ >?\d+ %; estimated votes: ", told)


def test_a_run_broken_off_in_its_last_step_is_corrected_once(
    tmp_path, monkeypatch
):
    data = folder_of_votes(tmp_path / "votes", 24)
    run = tmp_path / "run"
    words = ["train", "--dataset", "folder", "--data-dir", str(data)]
    words += ["--image-size", "24", "--arch", "kerafer_edge", "--options"]
    words += ["width=0.25", "--epochs", "1", "--prior-correction", "1"]
    words += ["--split", "given", "--out", str(run)]

    def broken(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("kerafer.training.run_report.write_run", broken)
        assert main(words) == 130
    before = kerafer.load_model(run).get_weights()
    assert main(["train", "--resume", str(run)]) == 0
    after = kerafer.load_model(run).get_weights()
    assert all(map(np.array_equal, before, after))
    assert (
        json.loads((run / "metrics.json").read_text())["prior_correction"] == 1
    )


# === FER+ as two tables ===


def test_ferplus_of_two_tables_is_that_of_its_folders(tmp_path):
    generator = np.random.default_rng(0)
    faces = generator.integers(0, 256, (5, 48, 48), np.uint8)
    usages = ["Training", "Training", "PublicTest", "PrivateTest", "Training"]
    votes = ["9,0,0,0,0,0,0,0,1,0", "0,5,3,0,0,0,0,0,2,0"]
    votes += ["0,0,0,6,3,0,0,0,1,0", "0,0,0,0,0,0,2,2,4,2"]
    votes += ["2,2,2,0,0,0,2,2,0,0"]
    names = [f"fer{i}.png" for i in range(5)]
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,"
    header += "disgust,fear,contempt,unknown,NF"
    table = "\n".join(
        [
            header,
            *(
                f"{usage},{name},{said}"
                for usage, name, said in zip(usages, names, votes, strict=True)
            ),
        ]
    )
    folders = {"Training": "Train", "PublicTest": "Valid"}
    one, two = tmp_path / "one", tmp_path / "two"
    for root in (one, two):
        root.mkdir()
        (root / "fer2013new.csv").write_text(table, "utf-8")
    for face, usage, name in zip(faces, usages, names, strict=True):
        folder = one / f"FER2013{folders.get(usage, 'Test')}"
        folder.mkdir(exist_ok=True)
        Image.fromarray(face).save(folder / name)
    pixels = [" ".join(map(str, face.ravel())) for face in faces]
    lines = [
        f"{i % 7},{p},{u}"
        for i, (p, u) in enumerate(zip(pixels, usages, strict=True))
    ]
    text = "\n".join(["emotion,pixels,Usage", *lines])
    (two / "fer2013.csv").write_text(text, "utf-8")
    sets = [load("ferplus", root) for root in (one, two)]
    assert [len(dataset) for dataset in sets] == [4, 4]
    for dataset in sets:
        assert dataset.majority.tolist() == [True, False, True, False]
        np.testing.assert_array_equal(dataset.targets, sets[0].targets)
        for path, face in zip(
            dataset.manifest["path"], faces[[0, 1, 2, 4]], strict=True
        ):
            found = dataset.read_image(path)[..., 0]
            np.testing.assert_array_equal(found, face)
    Path(two / "fer2013.csv").unlink()
    with pytest.raises(UserError, match=r"fer2013\.csv"):
        load("ferplus", two)
