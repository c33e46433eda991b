"""File names that native libraries cannot open as they are."""

import csv
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import kerafer
from kerafer.files import native_path
from kerafer.model_files import included_model
from kerafer.runtime.sources import find_sources
from kerafer.runtime.video import VideoReader, VideoWriter, is_stream

MODEL = included_model() / "float16.tflite"


def write_video(file, frames=4, size=32):
    with VideoWriter(file, 25) as video:
        for index in range(frames):
            frame = np.full((size, size, 3), 40 * index, np.uint8)
            video.write(frame, index / 25)


@pytest.mark.parametrize(
    ("name", "locale"),
    [(b"f\xe4ce", "C.UTF-8"), ("脸".encode(), "C"), (b"f\xe4ce", "C")],
)
def test_names_that_are_not_utf8(name, locale, tmp_path):
    """Photo, video, model and results have such a name, and its folder."""
    folder = os.path.join(os.fsencode(tmp_path), name)
    os.mkdir(folder)
    here = os.fsdecode(folder)
    image = os.path.join(here, os.fsdecode(name) + ".png")
    Image.new("RGB", (40, 40), "gray").save(image)
    write_video(tmp_path / "video.mp4")
    video = os.path.join(here, os.fsdecode(name) + "-film.mp4")
    os.rename(tmp_path / "video.mp4", video)
    model = os.path.join(here, os.fsdecode(name) + ".tflite")
    shutil.copy(MODEL, model)
    out = os.path.join(here, "out")
    words = ["predict", image, video, "--model", model, "--out", out]
    done = subprocess.run(
        [sys.executable, "-m", "kerafer", *words],
        env=os.environ | {"LC_ALL": locale, "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(os.listdir(out)) == 3
    with open(os.path.join(out, "predictions.csv"), encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 5
    copy = os.path.join(out, os.fsdecode(name) + "-film.mp4")
    with VideoReader(copy) as frames:
        assert len(list(frames)) == 4


def test_an_export_to_a_folder_whose_name_is_not_utf8(tmp_path):
    import tiny_models

    folder = tmp_path / os.fsdecode(b"f\xe4ce")
    formats = ["keras", "savedmodel", "float32"]
    kerafer.export_model(
        tiny_models.to_keras(), folder, formats, class_names=tiny_models.LABELS
    )
    image = np.full((8, 8, 3), (250, 10, 30), np.uint8)
    for name in ("saved_model", "model.keras", "float32.tflite"):
        recognizer = kerafer.Recognizer(folder / name)
        np.testing.assert_allclose(
            recognizer.probabilities([image])[0],
            tiny_models.expected(image),
            atol=1e-5,
        )


@pytest.mark.parametrize("name", ["cam:1.mp4", "concat:b.mp4", "file:b.mp4"])
def test_a_colon_is_part_of_the_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "b.mp4", size=64)
    write_video(tmp_path / "a.mp4", size=32)
    os.rename("a.mp4", name)
    (source,) = find_sources([name], tmp_path / "out")
    assert source.is_video
    with VideoReader(source.path) as video:
        assert [frame.shape for _, frame in video] == [(32, 32, 3)] * 4
    with VideoWriter(Path(f"copy-{name}"), 25) as copy:
        copy.write(np.zeros((32, 32, 3), np.uint8), 0)
    assert os.path.getsize(f"copy-{name}")


@pytest.mark.parametrize("scheme", ["tcp", "http"])
def test_a_file_named_like_an_address_is_a_file(scheme, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        name = f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
        os.makedirs(f"{scheme}:")
        write_video(tmp_path / "a.mp4")
        os.rename("a.mp4", name)
        for typed in (name, f"{scheme}:/*"):
            (source,) = find_sources([typed], tmp_path / "out")
            assert source.is_video
            with VideoReader(source.path) as video:
                assert len(list(video)) == 4
        with pytest.raises(TimeoutError):
            server.accept()


def test_only_addresses_are_streams(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_stream("rtsp://camera/1") and is_stream("http://camera/1")
    assert not is_stream(Path("http://camera/1"))
    assert not any(map(is_stream, ["cam:1", "file:///x", "concat://a", 0]))


def test_a_number_in_a_name_is_no_pattern(tmp_path):
    """OpenCV would read a series of images for one of them."""
    for number in range(3):
        frame = np.full((16, 16), number / 3, np.float32)
        cv2.imwrite(str(tmp_path / f"a_{number}.tiff"), frame)
    (source,) = find_sources([str(tmp_path / "a_0.tiff")], tmp_path / "out")
    assert not source.is_video


def test_plain_paths_need_no_link(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with native_path("ü x.mp4") as path:
        assert path == str(tmp_path / "ü x.mp4")
    with native_path(os.fsdecode(b"\xe4.mp4")) as path:
        assert os.path.islink(path) and path.isascii()
    assert not os.path.lexists(path)
