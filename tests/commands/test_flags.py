"""Unknown flags, `--help` in the base installation, and `--resume`."""

import dataclasses
import importlib.metadata
import json
import re
from pathlib import Path

import pytest
from harness import run_python

from kerafer import extras
from kerafer.cli import main
from kerafer.settings import checked, read_yaml
from kerafer.training.config import TrainingConfig
from kerafer.training.recipes import find_recipe
from kerafer.training.run_folder import RunFolder


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("predict --output x", "--out"),
        ("predict -o x", "--out"),
        ("predict --json", "--format jsonl"),
        ("predict --weights x", "--model"),
        ("predict --workers 4", "--threads"),
        ("predict --source x", None),
        ("predict --outt x", "--out"),
        ("export --output-dir x", "--out"),
        ("train --lr=0.1", "--learning-rate"),
        ("train --leaning-rate 1", "--learning-rate"),
        ("train --bs 8", "--batch-size"),
        ("train --batch 8", "--batch-size"),
        ("train --data x", "--data-dir"),
        ("train --model x", "--arch"),
        ("train --weights x", "--init-from"),
        ("train --gpu 0", "--devices"),
        ("train --imgsz 64", "--image-size"),
        ("train --workers 4", None),
        ("train --dropout 0.5", None),
        ("train --no-deterministic", None),
        ("evaluate --arch x", "--model"),
        ("--verbose", None),
    ],
)
def test_an_unknown_flag_suggests_one_of_the_same_meaning(words, meant, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words.split())
    assert caught.value.code == 2
    told = capsys.readouterr().err
    found = re.search(r"Did you mean (.*)\?", told)
    assert (found and found[1]) == meant


def test_every_help_works_without_the_extras():
    run_python(
        """
        import sys
        from kerafer.extras import EXTRAS

        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in EXTRAS:
                    raise ModuleNotFoundError(name, name=name)

        sys.meta_path.insert(0, Missing())
        from kerafer.cli import COMMANDS, main

        for command in set(COMMANDS) - {"benchmark"}:
            try:
                main([command, "--help"])
            except SystemExit as end:
                assert not end.code, command
            else:
                raise AssertionError(command)
        """
    )


def test_resume_with_settings_suggests_a_new_run(tmp_path, capsys):
    run = RunFolder.create(TrainingConfig(epochs=2, patience=7), tmp_path / "a")
    words = ["train", "--resume", str(run.path), "--epochs", "9"]
    assert main([*words, "--deterministic"]) == 2
    told = capsys.readouterr().err
    assert "--epochs" in told
    command = told.strip().splitlines()[-1].split()
    assert command[:2] == ["kerafer", "train"]
    assert "--init-from" in command and "--deterministic" in command
    # The command suggested uses the run's own settings, but for those given.
    words = command[command.index("--epochs") :]
    assert words[1] == "9"
    file = command[command.index("--config") + 1]
    assert "patience: 7" in Path(file).read_text("utf-8")


@pytest.mark.parametrize(
    ("origin", "told"),
    [
        (
            {"url": "file:///src/kerafer", "dir_info": {}},
            "pip install '.[train]'    (in /src/kerafer)",
        ),
        (
            {"url": "https://x.org/k", "vcs_info": {"vcs": "git"}},
            "pip install 'kerafer[train] @ git+https://x.org/k'",
        ),
        (
            {"url": "file:///tmp/kerafer.whl", "archive_info": {}},
            "pip install 'kerafer[train] @ file:///tmp/kerafer.whl'",
        ),
        (None, "pip install 'kerafer[train]'"),
    ],
)
def test_an_extra_is_installed_from_where_kerafer_came(
    origin, told, tmp_path, monkeypatch
):
    class Installed:
        def read_text(self, name):
            return origin and json.dumps(origin)

    monkeypatch.setattr(
        importlib.metadata, "distribution", lambda name: Installed()
    )
    file = tmp_path / "kerafer" / "extras.py"
    monkeypatch.setattr(extras, "__file__", str(file))
    assert extras.install("train").strip() == told
    # Run from a checkout, installed or not, the checkout has the extra.
    (tmp_path / "setup.cfg").write_text("")
    assert extras.install("onnx").strip() == (
        f"pip install '.[onnx]'    (in {tmp_path})"
    )
    origin = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
    assert extras.install("onnx").startswith("    pip install -e '.[onnx]'")


def test_docs_name_what_the_defaults_add_to_the_article_s_protocol():
    values = read_yaml(TrainingConfig, find_recipe("paper"))
    recipe = dataclasses.asdict(checked(TrainingConfig, values))
    default = dataclasses.asdict(TrainingConfig())
    added = {k: default[k] for k in recipe if default[k] != recipe[k]}
    # Not given, these follow from the data set and the model.
    assert added.pop("split") is None and added.pop("loss") == "own"
    assert added == {"augment": "light"}
    docs = Path(__file__).parents[2] / "docs"
    for page in ("recipes.md", "training.md"):
        text = (docs / page).read_text("utf-8")
        assert "light augmentation (`--augment light`)" in text
        assert "no augmentation" in text or "without augmentation" in text
