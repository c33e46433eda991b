"""What goes wrong is told in a sentence, and nothing is lost by it."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from kerafer.cli import main
from kerafer.console import console, track
from kerafer.errors import UserError, shown
from kerafer.files import (
    atomic_write,
    check_space,
    is_full,
    locked,
    replace_folder,
    write_text,
)
from kerafer.untrusted import parse_yaml, read_json

TRAIN = [
    *("train", "--arch", "kerafer_edge", "--options", "width=0.25"),
    *("--dataset", "synthetic", "--subjects", "6", "--image-size", "48"),
    *("--augment", "none", "--precision", "float32"),
]


# === What a terminal is shown ===


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain [bold]ä[/]", "plain [bold]ä[/]"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines\t", "two\nlines\t"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udcff", "\\udcff"),
        ("\r\x07", "\\r\\x07"),
    ],
)
def test_text_is_shown_and_not_obeyed(text, expected):
    assert shown(text) == expected


@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize("name", ["[/nope]", "\x1b[2J", "[red]x", ":smile:"])
def test_the_console_shows_names_as_they_are(name, capsys):
    console.print(f"There is no {name}.")
    list(track([1], name, 1))
    assert capsys.readouterr().err == (
        f"There is no {shown(name)}.\n{shown(name)}: 1 of 1\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "[/nope].png"],
        ["predict", "\x1b[31m.png"],
        ["predict", "n" * 300 + ".png"],
        ["export", "--model", "n" * 300 + ".keras"],
        ["evaluate", "--model", "loop"],
        ["audit", "--dataset", "folder", "--data-dir", "loop"],
        ["train", "--config", "n" * 300 + ".yaml"],
        ["train", "--resume", "loop"],
    ],
)
def test_odd_paths_get_a_sentence(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    os.symlink("loop", "loop")
    assert main(words) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told and "\x1b" not in told
    assert told.startswith(f"kerafer {words[0]}: ")


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    script = (
        "import sys\nfrom kerafer import cli\n"
        "from kerafer.cli import synthesize\n"
        "def run(out):\n"
        "    while True:\n        print('line' * 1000)\n"
        "synthesize.synthesize = run\n"
        "sys.exit(cli.main(['synthesize', '--out', 'x']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


# === Foreign texts ===


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1]\nb: [*a, *a]",
        "[" * 1_000,
        "? [1]\n: 2",
        "2001-99-99",
        "x" * 1_000_001,
        "{",
        "!!python/object/apply:os.system ['true']",
    ],
)
def test_yaml_that_nobody_needs_is_a_value_error(text):
    began = time.monotonic()
    with pytest.raises(ValueError):
        parse_yaml(text)
    assert time.monotonic() - began < 2


def test_yaml_of_an_own_configuration_is_read():
    text = "arch: cnn\noptions: {kernel_sizes: [3, 5]}\nepochs: 3\n"
    assert parse_yaml(text) == {
        "arch": "cnn",
        "options": {"kernel_sizes": [3, 5]},
        "epochs": 3,
    }


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "{", "", "\udcff"])
def test_json_that_is_no_object_is_a_value_error(text, tmp_path):
    file = tmp_path / "a.json"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError):
        read_json(file)


# === Folders that are written ===


def test_a_lock_ends_with_its_process(tmp_path):
    script = (
        "import sys, time\nfrom kerafer.files import locked\n"
        "with locked(sys.argv[1], 'Run one'):\n"
        "    print('held', flush=True)\n    time.sleep(60)\n"
    )
    lock = tmp_path / ".lock"
    other = subprocess.Popen(
        [sys.executable, "-c", script, lock], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="Run one"), locked(lock, "Run one"):
            pass
    finally:
        other.kill()
        other.communicate()
    with locked(lock, "Run one"):
        assert lock.exists()
    assert not lock.exists()


def test_a_folder_is_replaced_only_when_all_went_well(tmp_path):
    out = tmp_path / "out"
    for text in ("old", "new"):
        with replace_folder(out) as part:
            (part / "a").write_text(text)
    with pytest.raises(KeyError), replace_folder(out) as part:
        (part / "a").write_text("half")
        raise KeyError
    assert (out / "a").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_comes_back_after_a_kill_between_two_renames(tmp_path):
    out = tmp_path / "out"
    (tmp_path / ".out.old").mkdir()
    (tmp_path / ".out.old" / "a").write_text("old")
    (tmp_path / ".out.part").mkdir()
    with pytest.raises(KeyError), replace_folder(out):
        raise KeyError
    assert (out / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_is_replaced_by_one_process(tmp_path):
    with (
        replace_folder(tmp_path / "out"),
        pytest.raises(UserError, match="out"),
        replace_folder(tmp_path / "out"),
    ):
        pass


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path):
    file = tmp_path / ("n" * 255)
    write_text(file, "old")
    with pytest.raises(KeyError), atomic_write(file) as part:
        part.write_text("half")
        raise KeyError
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_missing_space_is_found_before_the_work(tmp_path):
    check_space(tmp_path, 1)
    with pytest.raises(OSError) as raised:
        check_space(tmp_path, 2**60)
    assert is_full(raised.value)


def test_a_full_disk_is_told(monkeypatch, tmp_path, capsys):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "a.npy")

    monkeypatch.setattr("kerafer.cli.synthesize.synthesize", full)
    assert main(["synthesize", "--out", str(tmp_path / "s")]) == 2
    assert "The disk is full: a.npy" in capsys.readouterr().err


# === Trainings that go wrong ===


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run with a state of one epoch, killed."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    words = [*TRAIN, "--epochs", "50", "--out", str(folder)]
    process = subprocess.Popen([sys.executable, "-m", "kerafer", *words])
    until = time.monotonic() + 200
    while not (folder / "backup" / "1").is_dir():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("backup/*/latest.weights.h5", b"", "is empty"),
        ("backup/*/latest.weights.h5", None, "is empty"),
        ("backup/*/latest.weights.h5", b"damaged" * 99, "is damaged"),
        ("backup/*/training_metadata.json", b"{", "is damaged"),
        ("history.csv", b"", "is damaged"),
        ("history.csv", None, "is damaged"),
        ("history.csv", b"epoch,loss\n", "is damaged"),
        ("split.csv", b"", "split"),
        ("config.yaml", b"[" * 999, "YAML"),
        ("best.keras", b"PK", "best.keras"),
    ],
)
def test_a_damaged_run_does_not_go_on(
    interrupted, name, content, told, tmp_path, capsys
):
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(interrupted, folder)
    (file,) = folder.glob(name)
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    assert main(["train", "--resume", str(folder)]) == 2
    said = capsys.readouterr().err
    assert told in said and "Traceback" not in said


@pytest.mark.slow
def test_no_number_in_the_first_epoch_is_told_again(tmp_path, capsys):
    out = tmp_path / "run"
    words = [*TRAIN, "--epochs", "2", "--out", str(out)]
    words += ["--optimizer", "sgd", "--learning-rate", "1e30"]
    assert main(words) == 2
    assert "NaN" in capsys.readouterr().err
    assert main(["train", "--resume", str(out)]) == 2
    assert "NaN" in capsys.readouterr().err


def test_manifests_of_others_are_not_believed(tmp_path):
    from kerafer.inference import ModelSource

    for text in ("[" * 99_999, '{"input": 3}', '{"input": {"shape": "x"}}'):
        (tmp_path / "manifest.json").write_text(text)
        assert ModelSource(tmp_path / "a.tflite").crop_margin == 0.2
    (tmp_path / "metrics.json").write_text(json.dumps({"test": 4}))
    assert ModelSource(tmp_path / "a.keras").labels is None


def test_half_a_file_of_a_killed_process_goes(tmp_path):
    from kerafer.training.config import TrainingConfig
    from kerafer.training.run import Run

    for name in (".123.best.keras", "best.keras", ".other"):
        (tmp_path / name).write_bytes(b"x")
    with Run(tmp_path, TrainingConfig()).begin():
        names = {path.name for path in tmp_path.iterdir()}
    assert "best.keras" in names and ".123.best.keras" not in names
