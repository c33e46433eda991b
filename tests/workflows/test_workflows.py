"""What one does with the package, from Python and without a command line."""

import contextlib
import json
import signal

import numpy as np
import pandas as pd
import pytest
import yaml
from harness import run_python
from sklearn.metrics import accuracy_score

import kerafer
from kerafer.cli import main
from kerafer.training.progress import EpochProgress
from kerafer.workflows import InterruptedTraining

TINY = {
    "arch": "wca_cnn",
    "options": "ratio=8",
    "dataset": "synthetic",
    "subjects": 6,
    "image_size": 40,
    "epochs": 2,
    "augment": "none",
}


def config(**settings):
    return kerafer.TrainingConfig(**TINY | settings)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return kerafer.train(config(), tmp_path_factory.mktemp("runs") / "run")


def test_a_run_is_what_its_folder_says(run):
    again = kerafer.Run.open(run.path)
    assert again.is_over and again.config == config()
    assert again.config.epochs == len(again.history) == 2
    files = pd.read_csv(run.path / "split.csv")
    pd.testing.assert_frame_equal(again.split, files)
    assert again.metrics == json.loads((run.path / "metrics.json").read_text())
    assert (
        yaml.safe_load((run.path / "config.yaml").read_text())["subjects"] == 6
    )


def test_the_test_dataset_gives_the_scores_that_were_written(run):
    batches = run.test_dataset()
    parts = [batches[index] for index in range(len(batches))]
    images = np.concatenate([images for images, _ in parts])
    targets = np.concatenate([targets for _, targets in parts])
    assert images.dtype == np.uint8 and images.shape[1:] == (40, 40, 3)
    assert len(images) == (run.split["split"] == "test").sum()
    probabilities = run.model.predict(batches, verbose=0)
    wanted = run.predictions
    np.testing.assert_array_equal(targets.argmax(1), wanted.labels)
    np.testing.assert_allclose(probabilities, wanted.probabilities, atol=1e-5)
    accuracy = accuracy_score(wanted.labels, wanted.predicted)
    assert run.metrics["test"]["accuracy"] == pytest.approx(accuracy)


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupted_training_says_where_it_goes_on(tmp_path, monkeypatch):
    began = EpochProgress.on_epoch_begin

    def stop(self, epoch, logs=None):
        began(self, epoch, logs)
        if epoch == 1:
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("kerafer.training.fit._WRITING", 1.0)
    with monkeypatch.context() as patch:
        patch.setattr(EpochProgress, "on_epoch_begin", stop)
        with pytest.raises(InterruptedTraining) as caught:
            kerafer.train(config(), tmp_path / "run")
    assert (caught.value.run, caught.value.epochs) == (tmp_path / "run", 1)
    broken = kerafer.Run.open(caught.value.run)
    assert not broken.is_over
    with pytest.raises(kerafer.UserError, match="it broke off"):
        _ = broken.metrics
    over = kerafer.train(resume=caught.value.run)
    assert over.is_over and over.history["epoch"].tolist() == [0, 1]


def test_the_library_is_silent_and_tells_the_logger(
    tmp_path, capfd, caplog, run
):
    caplog.set_level("INFO", "kerafer")
    kerafer.train(config(epochs=1), tmp_path / "run")
    assert capfd.readouterr() == ("", "")
    (line,) = [x for x in caplog.messages if x.startswith("epoch   1/1")]
    with kerafer.show_progress():
        kerafer.train(config(epochs=1), tmp_path / "told")
    told = capfd.readouterr().err.splitlines()
    (shown,) = [x for x in told if x.startswith("epoch   1/1")]
    assert shown.split("|")[:2] == line.split("|")[:2]
    assert "images/s" in line
    words = ["evaluate", "--model", str(run.path)]
    assert main([*words, "--out", str(tmp_path / "scores")]) == 0
    assert "Written to" in capfd.readouterr().err


def test_a_run_that_is_over_or_has_other_settings_does_not_go_on(run):
    with pytest.raises(kerafer.UserError, match="is over"):
        kerafer.train(resume=run.path)
    with pytest.raises(kerafer.UserError, match="its own settings"):
        kerafer.train(config(epochs=9), resume=run.path)


def test_a_training_needs_settings_or_a_run(tmp_path):
    with pytest.raises(kerafer.UserError, match="a config, or a run"):
        kerafer.train()
    with pytest.raises(kerafer.UserError, match=r"config\.yaml"):
        kerafer.Run.open(tmp_path)


def test_importing_the_workflows_loads_no_backend():
    run_python("""
        import sys
        import kerafer
        kerafer.TrainingConfig, kerafer.Run, kerafer.train
        assert not {"tensorflow", "keras", "pandas"} & set(sys.modules)
    """)
