"""Every setting has its range, told in one sentence before any work."""

import argparse
import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest

import kerafer
from kerafer.cli import COMMANDS, main
from kerafer.errors import ConfigError, UserError
from kerafer.settings import Settings, add_flags, from_flags, setting


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("train --seed 4294967296", "--seed is 0 to 4294967295"),
        ("train --seed -1", "--seed is 0 to 4294967295"),
        ("train --epochs 0", "--epochs is at least 1"),
        ("train --batch-size -1", "--batch-size is at least 1"),
        ("train --image-size 10000", "--image-size is 1 to 2048"),
        ("train --people 71", "--people is 1 to 70"),
        ("train --channels 2", "--channels is 3 or 1"),
        ("train --learning-rate nan", "--learning-rate is more than 0"),
        ("train --learning-rate inf", "--learning-rate is more than 0"),
        ("train --ema 1", "--ema is 0 or more and less than 1"),
        ("train --distill-alpha 1.5", "--distill-alpha is 0 to 1"),
        ("train --mix-alpha -1", "--mix-alpha is more than 0"),
        ("train --min-delta inf", "--min-delta is at least 0"),
        ("predict a.jpg --threads 100000", "--threads is 1 to 1024"),
        ("predict a.jpg --threads 0", "--threads is 1 to 1024"),
        ("predict a.jpg --every 0", "--every is at least 1"),
        ("predict a.jpg --half-life -1", "--half-life is at least 0"),
        ("predict a.jpg --seconds 0", "--seconds is more than 0"),
        ("predict --camera -1", "--camera is 0 to 99"),
        ("demo --port 65536", "--port is 0 to 65535"),
        ("synthesize --out x --people 0", "--people is 1 to 70"),
        ("synthesize --out x --seed 4294967296", "--seed is 0 to"),
        ("export --model x --threads -2", "--threads is 1 to 1024"),
        ("export --model x --min-agreement 101", "is 0 to 100"),
        ("export --model x --calibration 0", "is at least 1"),
        ("reproduce --tables 1..999999999999", "--tables takes the article"),
    ],
)
def test_a_number_out_of_range_ends_with_a_sentence(
    words, told, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    error = capsys.readouterr().err
    assert told in error
    assert words.split()[-1] in error
    assert "Traceback" not in error and error.count("\n") <= 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "--options width=abc",
            "`width` of kerafer_edge must be a number. Received: width=abc",
        ),
        ("--options width=[1,2]", "must be a number. Received: width=[1"),
        ("--options width=true", "must be a number"),
        ("--config weak", "paper, strong, ferplus.\nThere is no file weak."),
        ("--config strongg", "Did you mean strong?"),
        (
            "--config strong --epochs 2",
            "--warmup-epochs 0 goes with so few.\n--warmup-epochs 3: so says "
            "--config strong. A flag overrides it.",
        ),
        ("--config strong --optimizer adam", "so says --config strong"),
    ],
)
def test_what_the_user_said_is_named(words, told, tmp_path, capsys):
    words = ["train", "--arch", "kerafer_edge", *words.split()]
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert told in error, error
    assert error.count("\n") <= 5
    assert not (tmp_path / "run").exists()


def test_the_way_out_is_one(tmp_path):
    parser = argparse.ArgumentParser()
    module = importlib.import_module("kerafer.commands.train")
    module.add_arguments(parser)
    words = ["--config", "strong", "--epochs", "2", "--warmup-epochs", "0"]
    assert module._configuration(parser.parse_args(words)).epochs == 2


@pytest.mark.parametrize("option", ["2", "0.5", "1e0"])
def test_numbers_of_options_may_be_written_as_one_likes(option):
    from kerafer.models.registry import find_model
    from kerafer.training.config import TrainingConfig

    config = TrainingConfig(options=f"width={option}")
    assert config.model_options == {"width": float(option)}
    find_model("kerafer_edge", **config.model_options)


def test_an_option_may_have_any_name_and_is_refused():
    from kerafer.models.registry import find_model
    from kerafer.training.config import TrainingConfig

    config = TrainingConfig(arch="wca_mcnn", options="name=3")
    with pytest.raises(UserError, match="name"):
        find_model(config.arch, **config.model_options)


def test_every_number_that_a_flag_sets_has_a_range():
    for command in COMMANDS:
        module = importlib.import_module(f"kerafer.commands.{command}")
        for kind in vars(module).values():
            if not dataclasses.is_dataclass(kind):
                continue
            for field in dataclasses.fields(kind):
                kinds = field.type.split(" | ")
                if field.metadata and {"int", "float"} & {*kinds}:
                    limits = field.metadata["range"]
                    limited = any(limit is not None for limit in limits)
                    assert limited or field.metadata["choices"], field.name


@dataclasses.dataclass(frozen=True)
class _Kind(Settings):
    whole: int = setting(3, "n", least=1, most=5)
    part: float = setting(0.5, "x", above=0, below=1)
    any_number: float = setting(0.0, "x")
    none: int | None = setting(None, "n", least=2)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"whole": 1}, None),
        ({"whole": 5}, None),
        ({"whole": 6}, "`whole` is 1 to 5. Received: 6."),
        ({"whole": 10**400}, "`whole` is 1 to 5."),
        ({"part": 0.0}, "`part` is more than 0 and less than 1."),
        ({"part": 1.0}, "`part` is more than 0 and less than 1."),
        ({"any_number": -1e300}, None),
        ({"any_number": float("nan")}, "`any_number` is a finite number."),
        ({"none": None}, None),
        ({"none": 1}, "`none` is at least 2. Received: 1."),
    ],
)
def test_ranges(values, rule):
    if rule is None:
        _Kind(**values)
        return
    with pytest.raises(UserError) as caught:
        _Kind(**values)
    assert rule in str(caught.value)


def test_settings_of_python_have_their_types():
    """Paths and NumPy's numbers are taken for what they are."""
    config = kerafer.TrainingConfig(
        data_dir=Path("faces"),
        seed=np.int64(3),
        learning_rate=np.float32(0.5),
        min_delta=0,
    )
    found = (config.data_dir, config.seed, config.learning_rate)
    assert found == ("faces", 3, 0.5)
    assert list(map(type, found)) == [str, int, float]
    assert type(config.min_delta) is float
    # So they are written and read back.
    assert kerafer.TrainingConfig(**dataclasses.asdict(config)) == config


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"epochs": "5"}, "`epochs` takes a whole number. Received: '5'."),
        ({"epochs": 5.0}, "`epochs` takes a whole number. Received: 5.0."),
        ({"epochs": True}, "`epochs` takes a whole number. Received: True."),
        ({"epochs": None}, "`epochs` takes a whole number. Received: None."),
        ({"calibrate": 1}, "`calibrate` takes true or false. Received: 1."),
        ({"dataset": 7}, "`dataset` takes a word. Received: 7."),
        ({"data_dir": b"a"}, "`data_dir` takes a word. Received: b'a'."),
        ({"mix_alpha": []}, "`mix_alpha` takes a number. Received: []."),
        ({"min_delta": 1j}, "`min_delta` takes a number. Received: 1j."),
        ({"min_delta": 10**400}, "`min_delta` takes a number."),
    ],
)
def test_settings_of_python_of_other_types(values, rule):
    with pytest.raises(ConfigError) as caught:
        kerafer.TrainingConfig(**values)
    assert rule in str(caught.value)


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda: kerafer.train("a"), "TrainingConfig.* Received: str"),
        (lambda: kerafer.train({}), "TrainingConfig.* Received: dict"),
        (lambda: kerafer.reproduce({"a": 1}), "TrainingConfig.*: dict"),
        (lambda: kerafer.evaluate(3), "A model is a .* Received: int"),
        (lambda: kerafer.evaluate(None), "A model is a .*: NoneType"),
        (lambda: kerafer.Recognizer(3), "A model is a .* Received: int"),
        (lambda: kerafer.create_model(7), "Unknown model .7.*cder_net"),
        (lambda: kerafer.create_model(["cnn"]), r"Unknown model .*cnn"),
        (lambda: kerafer.create_model("cnn", "7"), "whole number.*: '7'"),
        (lambda: kerafer.create_model("cnn", 7, 64), "height, width.*: 64"),
    ],
)
def test_arguments_of_other_kinds_are_told_in_words(call, rule):
    with pytest.raises(UserError, match=f"(?s){rule}"):
        call()


def test_numbers_of_numpy_make_a_model():
    model = kerafer.create_model(
        "cnn", np.int64(5), tuple(np.array([64, 64, 1]))
    )
    assert model.output_shape == (None, 5)


def test_a_file_s_numbers_are_in_range_too(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("whole: 9\n")
    parser = argparse.ArgumentParser()
    add_flags(parser, _Kind)
    with pytest.raises(UserError, match=r"`whole` 9: so says `config`"):
        from_flags(_Kind, parser.parse_args([]), str(file))
    flags = parser.parse_args(["--whole", "2"])
    assert from_flags(_Kind, flags, str(file)).whole == 2


def test_an_export_names_the_file_that_was_meant(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best.keras").write_bytes(b"none")
    (tmp_path / "config.yaml").write_bytes(b"none")
    assert main(["export", "--model", "best.keras"]) == 2
    assert "best.keras lacks split.csv" in capsys.readouterr().err
    # Beside a run any other model is one of its own.
    (tmp_path / "my.keras").write_bytes(b"none")
    assert main(["export", "--model", "my.keras"]) == 2
    assert "This one is damaged or of another kind: my.keras" in (
        capsys.readouterr().err
    )


def test_an_error_after_ctrl_c_is_an_interruption(monkeypatch, capsys):
    def run(_parsed):
        try:
            raise KeyboardInterrupt
        finally:
            raise ValueError("what was cleaned up")

    monkeypatch.setattr("kerafer.commands.audit.run", run)
    assert main(["audit"]) == 130
    assert capsys.readouterr().err == "kerafer audit: interrupted\n"
