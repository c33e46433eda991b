"""Faces followed through a video."""

import numpy as np
import pytest

from kerafer.faces.detector import Face
from kerafer.runtime.tracker import FaceTracker, _overlap


class _Recognizer:
    labels = ("a", "b")
    min_scores = None

    def crop_probabilities(self, frame, boxes):
        return np.full((len(boxes), 2), 0.5, np.float32)


class _Detector:
    def __init__(self, *found):
        self.found = list(found)

    def detect(self, frame):
        return [Face(box, 0.9) for box in self.found.pop(0)]


def noise(height=160, width=160, seed=0):
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, (height // 4, width // 4), np.uint8)
    large = np.kron(small, np.ones((4, 4), np.uint8))
    return np.stack([large] * 3, axis=-1)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 10, 10), 50 / 150),
        ((0, 0, 10, 10), (5, 5, 10, 10), 25 / 175),
        ((2, 3, 4, 6), (4, 0, 6, 5), 4 / 50),
        ((0, 0, 10, 10), (10, 0, 10, 10), 0.0),
        ((0, 0, 10, 10), (0, 20, 10, 10), 0.0),
        ((0, 0, 20, 20), (5, 5, 10, 10), 100 / 400),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
    ],
)
def test_overlap_by_hand(one, other, expected):
    assert _overlap(np.array(one, np.float32), other) == pytest.approx(expected)
    assert _overlap(np.array(other, np.float32), one) == pytest.approx(expected)


def test_a_box_grows_with_its_face():
    import cv2

    picture = noise()
    detector = _Detector([(50, 50, 60, 60)])
    tracker = FaceTracker(_Recognizer(), detector, every=100)
    tracker.update(picture)
    for step in range(1, 5):
        times = 1.05**step
        matrix = cv2.getRotationMatrix2D((80, 80), 0, times)
        larger = cv2.warpAffine(
            picture, matrix, (160, 160), borderMode=cv2.BORDER_REFLECT
        )
        (face,) = tracker.update(larger)
        x, y, width, height = face.box
        assert width == pytest.approx(60 * times, abs=5)
        assert height == pytest.approx(60 * times, abs=5)
        assert x + width / 2 == pytest.approx(80, abs=2)
        assert y + height / 2 == pytest.approx(80, abs=2)


@pytest.mark.parametrize(("hidden", "seen"), [(0.5, True), (1.0, False)])
def test_a_face_half_hidden_is_followed_and_one_that_is_gone_not(hidden, seen):
    picture = noise()
    detector = _Detector([(40, 40, 80, 80)])
    tracker = FaceTracker(_Recognizer(), detector, every=100)
    tracker.update(picture)
    covered = picture.copy()
    end = 30 + round(100 * hidden)
    covered[:, 30:end] = noise(seed=9)[:, 30:end]
    found = tracker.update(covered)
    assert bool(found) is seen
    if seen:
        assert _overlap(np.array(found[0].box), (40, 40, 80, 80)) > 0.9


def test_a_detection_goes_on_with_the_track_that_it_covers_most():
    picture = noise()
    detector = _Detector(
        [(10, 10, 40, 40), (90, 90, 40, 40)],
        [(92, 90, 40, 40), (12, 10, 40, 40), (100, 10, 40, 40)],
        [(100, 10, 40, 40)],
        [(100, 10, 40, 40)],
    )
    tracker = FaceTracker(_Recognizer(), detector, every=1)
    tracks = [
        {face.track: face.box for face in tracker.update(picture)}
        for _ in range(4)
    ]
    assert tracks[0] == {1: (10, 10, 40, 40), 2: (90, 90, 40, 40)}
    assert tracks[1] == {
        1: (12, 10, 40, 40),
        2: (92, 90, 40, 40),
        3: (100, 10, 40, 40),
    }
    # Missed once it stays, missed twice it ends.
    assert set(tracks[2]) == {1, 2, 3} and set(tracks[3]) == {3}
