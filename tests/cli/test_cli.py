"""The command line: options, help, errors and exit codes."""

import re
import time
from pathlib import Path

import pytest
from harness import run_python

from kerafer.cli import COMMANDS, main, make_app
from kerafer.cli.options import make_settings
from kerafer.errors import ConfigError
from kerafer.settings import read_yaml
from kerafer.training.config import TrainingConfig
from kerafer.training.recipes import find_recipe


def parse(*words):
    """The arguments that a command gets."""
    _, bound, _ = make_app().parse_args(words)
    return bound.arguments


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
        ("train --people 6", "--subjects"),
        ("train --workers 4", None),
        ("train --dropout 0.5", None),
        ("train --no-deterministic", None),
        ("evaluate --arch x", "--model"),
        ("evaluate --part test", "--subset"),
        ("--verbose", None),
        ("trian", '"train"'),
    ],
)
def test_an_unknown_word_suggests_one_of_the_same_meaning(words, meant, capsys):
    assert main(words.split()) == 2
    told = capsys.readouterr().err
    assert re.search("Unknown (option|command)", told)
    found = re.search(r"Did you mean (.*?)\?", told)
    assert (found and found[1]) == meant
    assert told.count("\n") <= 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("train --epochs", "--epochs"),
        ("train --epochs 4.5", "4.5"),
        ("train --epochs many", "many"),
        ("train --epochs 0", "--epochs must be at least 1"),
        ("train --augment heavy", "light"),
        ("train --learning-rate nan", "--learning-rate"),
        ("train --seed 4294967296", "0 to 4294967295"),
        ("train --subjects 71", "1 to 70"),
        ("train kdef", "Unexpected argument: kdef"),
        ("train --config weak", "paper, strong, ferplus"),
        ("train --config strong --epochs 2", "--warmup-epochs 3 comes from"),
        ("train --config strong --optimizer adam", "--weight-decay 0.05 comes"),
        ("train --arch kerafer_edge --options width=abc", "width=abc"),
        ("train --num-processes 2 --process-id 0", "--coordinator"),
        ("train --resume x --epochs 9 --deterministic", "--epochs"),
        ("evaluate", "--model"),
        ("evaluate --model x --subset dev", "validation"),
        ("predict", "--camera"),
        ("predict a.jpg --threads 0", "--threads must be 1 to 1024"),
        ("predict --camera -1", "--camera must be 0 to 99"),
        ("demo --port 65536", "65536"),
        ("synthesize --out x --subjects 0", "--subjects must be 1 to 70"),
        ("export --model x --min-agreement 101", "0 to 100"),
        ("audit --max-hash-distance 17", "0 to 16"),
        ("audit --clean split.txt", ".csv"),
        ("reproduce --tables 1..999999999999", "1..999999999999"),
        ("reproduce --tables four", "four"),
    ],
)
def test_user_errors_take_a_few_lines_and_exit_code_2(
    words, told, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    error = capsys.readouterr().err
    assert told in error, error
    assert error.startswith(f"kerafer {words.split()[0]}: ")
    assert "Traceback" not in error and error.count("\n") <= 5
    assert list(tmp_path.iterdir()) == []


def test_every_help_works_without_the_extras():
    """It names each option, and none of the libraries that are optional."""
    said = run_python(
        """
        import sys
        from kerafer.extras import EXTRAS

        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in EXTRAS:
                    raise ModuleNotFoundError(name, name=name)

        sys.meta_path.insert(0, Missing())
        from kerafer.cli import COMMANDS, main

        for command in COMMANDS:
            assert main([command, "--help"]) == 0, command
        """
    )
    assert said.count("Usage: kerafer ") == len(COMMANDS)
    assert all(len(line) <= 80 for line in said.splitlines())
    assert "--learning-rate X" in said and "Default: 0.0001." in said
    assert "none|light|strong|robust" in said
    # Each option is explained.
    for line in said.splitlines():
        assert not re.fullmatch(r"  --\S+ {2,}(Default.*)?", line), line


def test_help_of_the_program_is_quick(capsys):
    """Within 0.2 s on an idle machine; here the processor's time counts."""
    started = time.process_time()
    assert main(["--help"]) == main([]) == 0
    assert time.process_time() - started < 0.5
    page = capsys.readouterr().out
    assert all(f"  {name} " in page for name in COMMANDS)


def test_completion_knows_the_options():
    script = make_app().generate_completion(shell="bash")
    assert "--learning-rate" in script and "cutmix" in script


def test_options_override_a_file_and_the_file_the_defaults(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("epochs: 7\nlearning-rate: 1e-2\nseed: 3\n")
    given = parse("train", "--epochs", "9", "--calibrate")["given"]
    assert given == {"epochs": 9, "calibrate": True}
    config = make_settings(TrainingConfig, given, str(file))
    assert (config.epochs, config.learning_rate) == (9, 0.01)
    assert (config.seed, config.batch_size) == (3, 32)
    file.write_text("epochs: 0\n")
    with pytest.raises(ConfigError, match=r"a\.yaml"):
        make_settings(TrainingConfig, {}, str(file))
    assert make_settings(TrainingConfig, given, str(file)).epochs == 9


def test_paths_and_repeated_options_reach_the_command(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    found = parse("explain", "a b.jpg", "--model", "x", "--model", "y", "c.jpg")
    assert found["paths"] == ("a b.jpg", "c.jpg")
    assert found["model"] == ["x", "y"]
    # The last one counts, so that scripts can append options.
    found = parse("train", "--seed", "1", "--seed", "2")
    assert found["given"] == {"seed": 2}
    found = parse("predict", "--out", "x", "--", "--odd.jpg", "Gr\udce4.jpg")
    assert found["paths"] == ("--odd.jpg", "Gr\udce4.jpg")
    assert found["given"] == {"out": "x"}


def test_an_error_after_ctrl_c_is_an_interruption(monkeypatch, capsys):
    def run(**_):
        try:
            raise KeyboardInterrupt
        finally:
            raise ValueError("cleaning up")

    monkeypatch.setattr("kerafer.cli.demo.demo", run)
    assert main(["demo"]) == 130
    assert capsys.readouterr().err == "kerafer demo: interrupted\n"


def test_docs_name_what_the_defaults_add_to_the_article_s_protocol():
    recipe = read_yaml(TrainingConfig, find_recipe("paper"))
    article, default = TrainingConfig(**recipe), TrainingConfig()
    added = {
        name: getattr(default, name)
        for name in recipe
        if getattr(default, name) != getattr(article, name)
    }
    # Not given, these follow from the data set and the model.
    assert added.pop("split") is None and added.pop("loss") == "own"
    assert added == {"augment": "light"}
    docs = Path(__file__).parents[2] / "docs"
    for page in ("recipes.md", "training.md"):
        text = (docs / page).read_text("utf-8")
        assert "light augmentation (`--augment light`)" in text
        assert "no augmentation" in text or "without augmentation" in text
