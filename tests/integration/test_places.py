"""Folders of caches and results."""

import pwd

import pytest

from kerafer.cli import main
from kerafer.datasets import cache
from kerafer.datasets.cache import cache_folder, cache_place
from kerafer.demo.litert_js import find_litert_js
from kerafer.errors import UserError
from kerafer.files import output_folder


@pytest.fixture(params=["no home", "a file", "below a file", "no such place"])
def nowhere(request, tmp_path, monkeypatch):
    """A home folder in which nothing can be kept."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    file = tmp_path / "file"
    file.write_bytes(b"")
    if request.param == "no home":
        monkeypatch.delenv("HOME", raising=False)

        def nobody(_):
            raise KeyError("uid not found")

        monkeypatch.setattr(pwd, "getpwuid", nobody)
    else:
        home = {
            "a file": file,
            "below a file": file / "home",
            "no such place": "/proc/home",
        }
        monkeypatch.setenv("HOME", str(home[request.param]))


def test_without_a_home_folder_the_cache_is_a_temporary_folder(nowhere, caplog):
    cache._temporary_cache.cache_clear()
    folder = cache_folder("decoded")
    (folder / "file").write_bytes(b"kept")
    assert cache_folder("decoded") == folder
    assert caplog.text.count("XDG_CACHE_HOME") == 1


def test_the_demo_looks_for_litert_js_without_a_home(nowhere):
    assert find_litert_js() == {}


def test_the_cache_has_one_place(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_place("faces") == tmp_path / "kerafer" / "faces"
    assert not cache_place("faces").exists()
    assert cache_folder("faces") == cache_place("faces")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert cache_place("x") == tmp_path / "me" / ".cache" / "kerafer" / "x"


NOT_FOLDERS = ["", "a-file", "a-file/x"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    place = tmp_path / "here"
    place.mkdir()
    (place / "a-file").write_text("mine", encoding="utf-8")
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize("name", NOT_FOLDERS)
def test_invalid_output_folder_is_refused_and_not_created(here, name):
    with pytest.raises(UserError, match="`out`"):
        output_folder(name)
    assert [path.name for path in here.iterdir()] == ["a-file"]


def test_checking_an_output_folder_creates_nothing(here):
    assert str(output_folder("one/two/three")) == "one/two/three"
    assert str(output_folder(None, ".")) == "."
    assert [path.name for path in here.iterdir()] == ["a-file"]


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
        ["evaluate", "--model", "kerafer_edge_ferplus", *SMALL[:4]],
        ["explain", "--model", "kerafer_edge_ferplus"],
    ],
    ids=lambda words: "-".join(words[:1] + words[7:8]),
)
def test_commands_check_the_output_folder_before_they_work(
    here, monkeypatch, capsys, words, name
):
    def too_late(*_, **__):
        pytest.fail("The work began before --out was checked.")

    monkeypatch.setattr("kerafer.datasets.loading.load", too_late)
    monkeypatch.setattr("kerafer.datasets.synthetic.write_kdef_tree", too_late)
    assert main([*words, "--out", name]) == 2
    told = capsys.readouterr().err
    assert "--out" in told and "written" in told
    assert told.count("\n") == 1
    assert [path.name for path in here.iterdir()] == ["a-file"]


def test_export_checks_the_output_folder_before_it_works(
    here, trained_run, capsys
):
    for name in NOT_FOLDERS:
        words = ["export", "--model", str(trained_run), "--out", name]
        assert main(words) == 2
        told = capsys.readouterr().err
        assert "--out" in told and "written" in told
        assert told.count("\n") == 1
