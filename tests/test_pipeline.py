"""From a data set to batches: decoding, cropping, shuffling, changing."""

import json
import os

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kerafer import UserError
from kerafer.data import Dataset
from kerafer.data.augmentation import POLICIES, make_augmentation
from kerafer.data.cache import make_room
from kerafer.data.decoded import decode
from kerafer.data.faces import crop, find_faces
from kerafer.data.images import UnreadableImageError
from kerafer.data.pipeline import TrainingBatches, evaluation_batches


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def colours(tmp_path):
    """Twelve pictures of one colour each, of several sizes."""
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
    monkeypatch.setattr("kerafer.data.cache.MAX_CACHE_BYTES", 35)
    make_room(tmp_path, 10)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["2.npy", "3.npy"]


def test_crop_is_a_square_around_the_face():
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:20, 30:36] = 255
    cut = crop(image, (30, 10, 6, 10), margin=0.2)
    assert cut.shape == (14, 14, 3)
    rows, columns = np.nonzero(cut[..., 0])
    assert (rows.min(), rows.max()) == (2, 11)
    assert (columns.min(), columns.max()) == (4, 9)


def test_crop_beyond_the_edge_repeats_the_edge():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    cut = crop(image, (-2, -2, 4, 4), margin=0.0)
    expected = np.pad(image[:2, :2], ((2, 0), (2, 0), (0, 0)), "edge")
    np.testing.assert_array_equal(cut, expected)


def test_faces_are_searched_once_and_an_interrupted_search_goes_on(
    colours, own_cache, monkeypatch
):
    asked = []

    def make_detector():
        def detect(image):
            asked.append(image.shape[1])
            if len(asked) == 4:
                raise KeyboardInterrupt
            return None if image.shape[1] == 21 else (1, 2, 3, image.shape[1])

        return detect

    monkeypatch.setattr("kerafer.data.faces.mtcnn_detector", make_detector)
    with pytest.raises(KeyboardInterrupt):
        find_faces(colours)
    (file,) = (own_cache / "kerafer" / "faces").iterdir()
    # As a kill in the middle of a line leaves it.
    with open(file, "a") as stream:
        stream.write("3.png,1,")
    boxes = find_faces(colours)
    assert boxes[1] is None
    assert boxes[0] == (1, 2, 3, 20) and boxes[11] == (1, 2, 3, 31)
    assert asked[:3] == [20, 21, 22] and sorted(asked[4:]) == list(
        range(23, 32)
    )
    assert find_faces(colours) == boxes
    assert len(asked) == 13


def test_mtcnn_finds_a_drawn_face():
    from kerafer.data import load
    from kerafer.data.faces import mtcnn_detector

    drawn = load("synthetic", people=2, angles="S", image_size=160)
    detect = mtcnn_detector()
    boxes = [detect(drawn.read_image(p)) for p in drawn.manifest["path"][:4]]
    found = [box for box in boxes if box is not None]
    assert found
    for x, y, width, height in found:
        assert abs(x + width / 2 - 80) < 35 and abs(y + height / 2 - 80) < 40
        assert 30 < width < 140
    assert detect(np.full((160, 160, 3), 128, np.uint8)) is None
    assert detect(np.zeros((1, 1, 3), np.uint8)) is None


def batches(seed=0, augment="none", rows=None):
    images = np.arange(50, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(images, (50, 8, 8, 3)).copy()
    return TrainingBatches(
        images, np.arange(50) % 5, 5, 16, seed, augment, rows
    )


def epoch(training, number):
    training.set_epoch(number)
    return [(np.array(x), np.array(y)) for x, y in training.batches]


def test_an_epoch_is_every_picture_once_with_its_label():
    seen = epoch(batches(), 0)
    assert [len(x) for x, _ in seen] == [16, 16, 16, 2]
    pictures = np.concatenate([x[:, 0, 0, 0] for x, _ in seen])
    labels = np.concatenate([y for _, y in seen])
    assert sorted(pictures) == list(range(50))
    assert list(pictures) != sorted(pictures)
    np.testing.assert_array_equal(labels.argmax(1), pictures % 5)
    np.testing.assert_array_equal(labels.sum(1), 1)


def test_rows_are_the_only_ones_taken():
    rows = np.array([3, 9, 27])
    ((pictures, _),) = epoch(batches(rows=rows), 0)
    assert sorted(pictures[:, 0, 0, 0]) == [3, 9, 27]


@pytest.mark.parametrize("augment", ["none", "strong"])
def test_order_and_changes_follow_from_seed_and_epoch(augment):
    def flat(training, number):
        return np.concatenate([x.ravel() for x, _ in epoch(training, number)])

    first = flat(batches(augment=augment), 3)
    again = batches(augment=augment)
    flat(again, 0)
    np.testing.assert_array_equal(flat(again, 3), first)
    assert not np.array_equal(flat(again, 4), first)
    assert not np.array_equal(flat(batches(1, augment), 3), first)


def test_evaluation_batches_are_in_order_and_unchanged():
    images = np.arange(20, dtype=np.uint8)[:, None, None, None]
    rows = np.array([7, 2, 19])
    parts = evaluation_batches(images, np.arange(20) % 3, 3, 2, rows)
    pictures = np.concatenate([x.numpy().ravel() for x, _ in parts])
    np.testing.assert_array_equal(pictures, rows)


def test_every_policy_changes_pictures_within_bounds():
    images = np.zeros((32, 24, 24, 3), "uint8")
    images[:, 4:20, 6:10] = (255, 120, 0)
    for policy in POLICIES:
        change = make_augmentation(policy)
        if policy == "none":
            assert change is None
            continue
        changed = np.array(change(images, np.array([1, 2])))
        assert changed.shape == images.shape and changed.dtype == np.float32
        assert changed.min() >= 0 and changed.max() <= 255
        assert all(
            not np.array_equal(one, two)
            for one, two in zip(changed, images, strict=True)
        )
        # No two pictures of a batch are changed in the same way.
        assert len(np.unique(changed.reshape(32, -1), axis=0)) == 32
        # Half of them are mirrored: the bar stands left of the middle.
        left = changed[..., 0][:, :, :12].sum((1, 2))
        right = changed[..., 0][:, :, 12:].sum((1, 2))
        assert 6 <= (right > left).sum() <= 26
    with pytest.raises(UserError, match=r"none, light, strong.*heavy"):
        make_augmentation("heavy")


@pytest.mark.slow
def test_augmentation_runs_in_tf_data_under_another_backend():
    pytest.importorskip("jax")
    from harness import run_python

    program = """
        import json
        import numpy as np
        from kerafer.data.pipeline import TrainingBatches
        images = np.random.default_rng(0).integers(0, 255, (8, 9, 9, 3))
        training = TrainingBatches(
            images.astype("uint8"), np.arange(8) % 2, 2, 8, 0, "strong"
        )
        (pictures, _), = training.batches
        print(json.dumps(float(np.sum(pictures))))
    """
    sums = [
        json.loads(
            run_python(
                program, env={**os.environ, "KERAS_BACKEND": backend}
            ).splitlines()[-1]
        )
        for backend in ("tensorflow", "jax")
    ]
    assert keras.backend.backend() == "tensorflow"
    assert sums[0] == pytest.approx(sums[1], rel=1e-5)
