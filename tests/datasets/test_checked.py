"""What was found of image files is kept until they change."""

import os

import numpy as np
import pytest
from PIL import Image

from kerafer import UserError
from kerafer.datasets import load, scan


@pytest.fixture
def looked_at(monkeypatch, tmp_path):
    """The names of the files that were decoded, since it was emptied."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = []
    look = scan.find_flaw

    def find_flaw(path):
        names.append(os.path.basename(path))
        return look(path)

    monkeypatch.setattr(scan, "find_flaw", find_flaw)
    return names


def write(file, seed, age=60):
    generator = np.random.default_rng(seed)
    noise = generator.integers(0, 256, (16, 16, 3), np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).save(file)
    aged(file, age)


def aged(file, age=60):
    then = file.stat().st_mtime_ns - age * 10**9
    os.utime(file, ns=(then, then))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "faces"
    for index in range(4):
        write(root / "ab"[index % 2] / f"{index}.png", index)
    broken = root / "a" / "broken.png"
    broken.write_bytes(b"no image")
    aged(broken)
    return root


def test_a_second_start_decodes_nothing(folder, looked_at):
    first = load("folder", folder)
    assert len(looked_at) == 5
    looked_at.clear()
    second = load("folder", folder)
    assert looked_at == []
    assert second.manifest.equals(first.manifest)
    assert second.left_out.equals(first.left_out)
    assert list(second.left_out["path"]) == ["a/broken.png"]


def test_what_is_new_or_changed_is_looked_at(folder, looked_at):
    load("folder", folder)
    looked_at.clear()
    write(folder / "a" / "broken.png", 9)
    write(folder / "b" / "new.png", 8)
    (folder / "b" / "1.png").write_bytes(b"spoilt")
    dataset = load("folder", folder)
    assert sorted(looked_at) == ["1.png", "broken.png", "new.png"]
    assert list(dataset.left_out["path"]) == ["b/1.png"]


def test_what_may_still_be_written_is_looked_at_again(folder, looked_at):
    write(folder / "a" / "fresh.png", 5, age=0)
    load("folder", folder)
    looked_at.clear()
    load("folder", folder)
    assert looked_at == ["fresh.png"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"a/0.png": 3}', '{"a/0.png": ["x", 1, 2]}']
)
def test_a_damaged_list_is_as_if_there_were_none(
    folder, looked_at, tmp_path, text
):
    load("folder", folder)
    looked_at.clear()
    (file,) = (tmp_path / "cache" / "kerafer" / "checked").iterdir()
    file.write_text(text)
    assert len(load("folder", folder)) == 4
    assert len(looked_at) == 5


def test_a_full_disk_keeps_nobody_from_starting(folder, looked_at, monkeypatch):
    def full(*_):
        raise UserError("This disk is full.")

    monkeypatch.setattr("kerafer.datasets.checked.make_room", full)
    assert len(load("folder", folder)) == 4


def test_two_folders_with_the_same_names_are_two(folder, looked_at, tmp_path):
    load("folder", folder)
    looked_at.clear()
    other = tmp_path / "others"
    write(other / "a" / "0.png", 0)
    write(other / "b" / "1.png", 1)
    load("folder", other)
    assert len(looked_at) == 2
