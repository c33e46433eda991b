"""Where files go: a cache that is optional, results that are not."""

import os
import pwd
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from kerafer.cli import main
from kerafer.datasets import cache
from kerafer.datasets.cache import cache_folder, cache_place
from kerafer.demo.litert_js import find_litert_js
from kerafer.errors import UserError
from kerafer.files import output_file, output_folder


@pytest.fixture
def photos(tmp_path):
    noise = np.random.default_rng(0)
    for label in ("happy", "sad"):
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for number in range(4):
            pixels = noise.integers(0, 256, (24, 24, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture(
    params=["no home", "a file", "below a file", "no such place", "read-only"]
)
def nowhere(request, tmp_path, monkeypatch):
    """A home folder in which nothing can be kept."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    cache._temporary.cache_clear()
    file = tmp_path / "file"
    file.write_bytes(b"")
    if request.param == "no home":
        monkeypatch.delenv("HOME", raising=False)

        def nobody(_):
            raise KeyError("uid not found")

        monkeypatch.setattr(pwd, "getpwuid", nobody)
    elif request.param == "read-only":
        # Root may write everywhere, so the folder's mode says nothing.
        home = tmp_path / "home"
        (home / ".cache" / "kerafer" / "decoded").mkdir(parents=True)
        monkeypatch.setenv("HOME", str(home))
        really = cache.tempfile.TemporaryFile

        def refuse(*args, dir=None, **options):
            if dir is not None and home in dir.parents:
                raise PermissionError(30, "Read-only file system")
            return really(*args, dir=dir, **options)

        monkeypatch.setattr(cache.tempfile, "TemporaryFile", refuse)
    else:
        home = {
            "a file": file,
            "below a file": file / "home",
            "no such place": "/proc/home",
        }
        monkeypatch.setenv("HOME", str(home[request.param]))
    yield request.param
    cache._temporary.cache_clear()


@pytest.mark.usefixtures("shown")
def test_without_a_home_a_temporary_folder_is_the_cache(nowhere, capsys):
    folder = cache_folder("decoded")
    (folder / "one").write_bytes(b"1")
    assert cache_folder("decoded") == folder
    assert cache_folder("faces").parent == folder.parent
    told = "".join(capsys.readouterr())
    assert told.count("\n") == 1
    assert "nothing is kept for the next run" in told
    assert "XDG_CACHE_HOME=DIR" in told


def test_a_set_is_audited_without_a_home(nowhere, photos, tmp_path, capsys):
    out = tmp_path / "audit"
    words = ["audit", "--dataset", "folder", "--data-dir", str(photos)]
    assert main([*words, "--out", str(out)]) == 0
    assert (out / "audit.md").is_file()


def test_the_demo_looks_for_litert_js_without_a_home(nowhere):
    assert find_litert_js() == {}


def test_pictures_are_decoded_without_a_home(nowhere, photos):
    from kerafer.datasets import load
    from kerafer.datasets.decoded import decode

    dataset = load("folder", photos)
    first = decode(dataset, 8).images
    assert first.shape == (8, 8, 8, 3)
    np.testing.assert_array_equal(first, decode(dataset, 8).images)


def test_the_temporary_cache_goes_with_the_process(tmp_path):
    words = (
        "from kerafer.datasets.cache import cache_folder\n"
        "print(cache_folder('decoded'))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", words],
        env=os.environ
        | {"XDG_CACHE_HOME": "/dev/null", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.count("\n") == 1
    assert done.stdout.splitlines()[-1].startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_at_all_can_be_written(monkeypatch):
    def nowhere(*_, **__):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    monkeypatch.setattr(cache.tempfile, "mkdtemp", nowhere)
    cache._temporary.cache_clear()
    with pytest.raises(UserError, match="XDG_CACHE_HOME=DIR or TMPDIR=DIR"):
        cache_folder("decoded")


def test_the_cache_has_one_place(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_place("faces") == tmp_path / "kerafer" / "faces"
    assert not cache_place("faces").exists()
    assert cache_folder("faces") == cache_place("faces")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert cache_place("x") == tmp_path / "me" / ".cache" / "kerafer" / "x"


# === Results ===

NOT_FOLDERS = [
    "",
    "a-file",
    "a-file/x",
    "n" * 300,
    "new/" + "n" * 300,
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    place = tmp_path / "here"
    place.mkdir()
    (place / "a-file").write_text("mine", encoding="utf-8")
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize("name", [*NOT_FOLDERS, "nul\0"])
def test_what_is_no_folder_is_told_and_nothing_made(here, name):
    with pytest.raises(UserError, match="`out`"):
        output_folder(name)
    assert [path.name for path in here.iterdir()] == ["a-file"]


@pytest.mark.parametrize("name", ["", ".", "a-file/x.csv", "n" * 256, "nul\0"])
def test_what_is_no_file_is_told_and_nothing_made(here, name):
    with pytest.raises(UserError, match="`clean`"):
        output_file(name, "`clean`")
    assert [path.name for path in here.iterdir()] == ["a-file"]


def test_a_folder_that_can_be_written_is_left_as_it_was(here):
    assert str(output_folder("one/two/three")) == "one/two/three"
    assert str(output_folder(None, ".")) == "."
    assert str(output_file("one/table.csv")) == "one/table.csv"
    assert str(output_file("a-file")) == "a-file"
    assert [path.name for path in here.iterdir()] == ["a-file"]
    assert (here / "a-file").read_text(encoding="utf-8") == "mine"


SMALL = ["--dataset", "synthetic", "--subjects", "3", "--image-size", "32"]


@pytest.mark.parametrize("name", NOT_FOLDERS)
@pytest.mark.parametrize(
    "words",
    [
        ["train", "--arch", "kerafer_edge", *SMALL],
        ["train", "--arch", "kerafer_edge", *SMALL, "--folds", "2"],
        ["audit", "--dataset", "synthetic", "--subjects", "3"],
        ["synthesize", "--subjects", "1"],
        ["reproduce", "--tables", "8"],
        ["evaluate", "--model", "kerafer_edge_ferplus", *SMALL],
        ["explain", "--model", "kerafer_edge_ferplus"],
    ],
    ids=lambda words: "-".join(words[:1] + words[7:8]),
)
def test_commands_look_before_they_work(here, monkeypatch, capsys, words, name):
    def too_late(*_, **__):
        pytest.fail("The work began before --out was looked at.")

    monkeypatch.setattr("kerafer.datasets.loading.load", too_late)
    monkeypatch.setattr("kerafer.datasets.synthetic.write_kdef_tree", too_late)
    assert main([*words, "--out", name]) == 2
    told = capsys.readouterr().err
    assert "--out" in told and "written" in told
    assert told.count("\n") == 1
    assert [path.name for path in here.iterdir()] == ["a-file"]


def test_an_export_looks_before_it_works(here, trained_run, capsys):
    for name in NOT_FOLDERS:
        words = ["export", "--model", str(trained_run), "--out", name]
        assert main(words) == 2
        told = capsys.readouterr().err
        assert "--out" in told and "written" in told
        assert told.count("\n") == 1
