"""Values at which a rule turns, worked out by hand."""

import dataclasses
import io
import math

import keras
import numpy as np
import pandas as pd
import pytest
from keras import layers
from PIL import Image

from kerafer import images
from kerafer.datasets.dataset import Dataset
from kerafer.datasets.splits import make_split
from kerafer.errors import UserError
from kerafer.evaluation import (
    bootstrap_intervals,
    classify,
    expected_calibration_error,
    reliability,
)
from kerafer.evaluation.bootstrap import RESAMPLES
from kerafer.export.config import ExportConfig
from kerafer.export.gates import missed_gate
from kerafer.export.verify import Verified
from kerafer.faces.detector import Face
from kerafer.images import UnreadableImageError, find_flaw, read_image
from kerafer.layers import Morlet, MultiScaleConv2D
from kerafer.runtime.face_tracker import FaceTracker, _overlap
from kerafer.training.callbacks import EarlyStopping

# === The gates of an export ===

WELL = Verified(
    accuracy=0.9,
    macro_f1=0.9,
    accuracy_lost=0.0,
    agreement=1.0,
    mean_difference=0.0,
    largest_difference=0.0,
    part_of_range=0.0,
    mean_part_of_range=0.0,
    milliseconds=1.0,
    bytes=1,
)
FLOATS = ("keras", "savedmodel", "float32", "float16", "onnx")
EIGHT_BITS = ("dynamic", "int8")


def gate(kind, config=None, **measured):
    verified = dataclasses.replace(WELL, **measured)
    return missed_gate(kind, verified, config or ExportConfig())


@pytest.mark.parametrize("kind", [*FLOATS, *EIGHT_BITS])
def test_a_file_that_is_well_passes(kind):
    assert gate(kind) is None
    assert gate(kind, accuracy_lost=None) is None
    assert gate(kind, accuracy_lost=None, agreement=None) is None


@pytest.mark.parametrize("kind", FLOATS)
def test_agreement_is_in_percent_and_at_the_gate_is_well(kind):
    assert gate(kind, agreement=0.99) is None
    told = gate(kind, agreement=0.9899)
    assert "98.99 %" in told and "99 %" in told and "`min_agreement`" in told
    config = ExportConfig(min_agreement=50)
    assert gate(kind, config, agreement=0.5) is None
    assert "49.00 %" in gate(kind, config, agreement=0.49)
    # What a format of floats loses in accuracy is no gate of it.
    assert gate(kind, accuracy_lost=50.0) is None


@pytest.mark.parametrize("kind", EIGHT_BITS)
def test_each_format_of_8_bits_has_its_own_gate(kind):
    name = f"max_drop_{kind}"
    for allowed in (0.0, 0.5, 3.0):
        config = ExportConfig(**{name: allowed})
        assert gate(kind, config, accuracy_lost=allowed) is None
        told = gate(kind, config, accuracy_lost=allowed + 0.01)
        assert f"`max_drop_{kind}`" in told and f"{allowed:g}" in told
        # With labels, agreement is no gate of it.
        assert gate(kind, config, accuracy_lost=allowed, agreement=0) is None
    others = {f"max_drop_{k}": 90.0 for k in EIGHT_BITS if k != kind}
    assert gate(kind, ExportConfig(**others), accuracy_lost=50.0)


def test_a_gate_knows_how_small_its_test_set_is():
    few = gate("int8", accuracy_lost=100 / 84, n_images=84)
    assert "loses 1.19 points of accuracy (1 of 84 images)" in few
    assert "too small for this gate" in few and "1.19 points" in few
    many = gate("int8", accuracy_lost=1.0, n_images=3000)
    assert "(30 of 3,000 images)" in many and "too small" not in many
    # One image of 200 is what the gate allows.
    assert gate("int8", accuracy_lost=0.5, n_images=200) is None
    assert "too small" not in gate("int8", accuracy_lost=1.0, n_images=200)


def test_the_gates_are_what_they_are_without_flags():
    lost = {"dynamic": 0.5, "int8": 0.5}
    for kind, most in lost.items():
        assert gate(kind, accuracy_lost=most) is None
        assert gate(kind, accuracy_lost=most + 0.01)


@pytest.mark.parametrize("kind", EIGHT_BITS)
def test_without_labels_nine_of_ten_have_to_agree(kind):
    assert gate(kind, accuracy_lost=None, agreement=0.9) is None
    told = gate(kind, accuracy_lost=None, agreement=0.899)
    assert "89.90 %" in told and "90 %" in told
    assert "`min_agreement`" not in told
    config = ExportConfig(min_agreement=10)
    assert gate(kind, config, accuracy_lost=None, agreement=0.5)


@pytest.mark.parametrize("kind", ["keras", "savedmodel", "float32", "onnx"])
def test_exact_formats_are_off_by_a_thousandth_at_most(kind):
    assert gate(kind, part_of_range=1e-3) is None
    told = gate(kind, part_of_range=1.1e-3)
    assert "0.0011" in told and "0.001" in told


@pytest.mark.parametrize("kind", ["float16", *EIGHT_BITS])
def test_others_that_tell_no_classes_are_off_by_a_tenth_in_the_mean(kind):
    without = {"agreement": None, "accuracy_lost": None}
    assert gate(kind, part_of_range=1.0) is None
    assert gate(kind, **without, mean_part_of_range=0.1) is None
    assert "0.11" in gate(kind, **without, mean_part_of_range=0.11)


# === Early stopping ===


def stopped(losses, patience, min_delta, past=(), best=None):
    """The epoch after which it stopped, and what it kept."""
    model = keras.Sequential([layers.Input((1,)), layers.Dense(1)])
    stopping = EarlyStopping(patience, min_delta, past, best)
    stopping.set_model(model)
    model.stop_training = False
    stopping.on_train_begin()
    for epoch, loss in enumerate(losses, len(past)):
        model.set_weights([np.array([[float(epoch)]]), np.zeros(1)])
        stopping.on_epoch_end(epoch, {"val_loss": loss})
        if model.stop_training:
            break
    else:
        epoch = None
    stopping.on_train_end()
    return epoch, float(model.get_weights()[0].item()), stopping.best


def test_a_gain_below_min_delta_is_none():
    losses = [1.0, 0.95, 0.9, 0.85]
    assert stopped(losses, 2, 0.2)[:2] == (2, 0.0)
    assert stopped(losses, 2, 0.04)[0] is None
    # Gains too small one by one count from the last that counted.
    assert stopped([1.0, 0.9, 0.79, 0.7], 2, 0.2) == (None, 2.0, 0.79)


def test_the_first_epoch_can_be_the_best():
    assert stopped([0.1, 0.2, 0.3], 2, 1e-5) == (2, 0.0, 0.1)


def test_a_first_loss_that_is_no_number_is_beaten():
    epoch, kept, best = stopped([math.nan, 0.5, 0.6, 0.7], 2, 1e-5)
    assert (epoch, kept, best) == (3, 1.0, 0.5)


def test_it_stops_after_a_resumption_as_without(tmp_path):
    file = tmp_path / "best.keras"
    model = keras.Sequential([layers.Input((1,)), layers.Dense(1)])
    model.set_weights([np.array([[7.0]]), np.zeros(1)])
    model.save(file)
    # Two epochs without gain are behind it: one more and it is over.
    epoch, kept, best = stopped([0.4], 3, 1e-5, (0.3, 0.5, 0.4), file)
    assert (epoch, kept, best) == (3, 7.0, 0.3)
    epoch, kept, _ = stopped([0.2, 0.3], 3, 1e-5, (0.3, 0.5, 0.4), file)
    assert (epoch, kept) == (None, 3.0)


# === Faces through a video ===


class _Recognizer:
    labels = ("a", "b")

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


# === Scores ===


def test_a_class_that_nobody_has_and_nobody_says():
    labels = np.array([0, 0, 1, 1, 1])
    predicted = np.array([0, 1, 1, 1, 1])
    scores = classify(labels, np.eye(3)[predicted], ("a", "b", "c"))
    # F1 of a: 2 / 3; of b: 6 / 7.
    assert scores.macro["f1"] == pytest.approx((2 / 3 + 6 / 7) / 2)
    found = bootstrap_intervals(labels, predicted, 3, resamples=500)
    two = bootstrap_intervals(labels, predicted, 2, resamples=500)
    assert found == two


@pytest.mark.parametrize(
    ("labels", "predicted", "told"),
    [
        # Three of four are of a: naming it always is right on 75 %.
        ([0, 0, 0, 1], [0, 0, 0, 0], ["No image is of c", "learned nothing"]),
        ([0, 0, 0, 1], [1, 1, 0, 0], ["No image is of c", "learned nothing"]),
        ([0, 0, 0, 1], [0, 0, 0, 1], ["No image is of c"]),
        ([0, 0, 1, 2], [0, 0, 0, 2], []),
        ([0, 0, 1, 2], [0, 0, 0, 0], ["learned nothing"]),
        # Of one class alone nobody can learn anything.
        ([1, 1], [1, 1], ["No image is of a, c:"]),
        ([1, 1], [0, 2], ["No image is of a, c:"]),
    ],
)
def test_what_scores_do_not_show_is_told(labels, predicted, told):
    labels = np.array(labels)
    notes = classify(labels, np.eye(3)[predicted], ("a", "b", "c")).notes()
    assert len(notes) == len(told)
    assert all(word in note for word, note in zip(told, notes, strict=True))
    if notes and "learned" in notes[-1]:
        most = np.bincount(labels).max() / len(labels)
        assert "always predicting a would" in notes[-1]
        assert f"right on {most:.1%}" in notes[-1]
        right = (labels == np.array(predicted)).mean()
        assert f"right on {right:.1%}." in notes[-1]


def test_two_classes_have_a_log_loss():
    scores = classify(np.array([0, 1]), [[0.8, 0.2], [0.4, 0.6]], ("a", "b"))
    assert scores.log_loss == pytest.approx(
        -(math.log(0.8) + math.log(0.6)) / 2
    )


def test_a_class_of_a_single_image_is_left_out_where_it_is_not_drawn():
    labels = np.array([0] * 9 + [1])
    found = bootstrap_intervals(labels, labels, 2, resamples=500)
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert (found[name].low, found[name].high) == (1, 1)


def test_a_confidence_a_hair_above_1_and_a_single_bin():
    probabilities = np.array([[1.0000001, 0.0], [0.6, 0.4]])
    table = reliability([0, 1], probabilities)
    assert table["n_images"].sum() == 2 and table["n_images"].iloc[-1] == 1
    one = reliability([0, 1], probabilities, bins=1)
    assert one.to_dict("records") == [
        {
            "lower": 0.0,
            "upper": 1.0,
            "n_images": 2,
            "confidence": pytest.approx(0.8),
            "accuracy": 0.5,
        }
    ]
    error = expected_calibration_error([0, 1], probabilities, bins=1)
    assert error == pytest.approx(0.3)


def test_an_interval_is_of_2000_drawings_and_95_percent():
    labels = np.arange(60) % 2
    predicted = np.where(np.arange(60) % 3, labels, 1 - labels)
    told = bootstrap_intervals(labels, predicted, 2, None, 2000, 0.95)
    assert bootstrap_intervals(labels, predicted, 2) == told
    assert RESAMPLES == 2000


@pytest.mark.parametrize("shape", [(2,), (2, 3, 1), (3, 2)])
def test_reliability_takes_two_axes(shape):
    with pytest.raises(UserError, match="must be"):
        reliability([0, 1], np.zeros(shape))


# === Splits ===


def people(rows):
    """A data set of rows `(path, label, subject)`."""
    table = pd.DataFrame(rows, columns=["path", "label", "subject"])
    names = tuple(sorted(set(table["label"])))
    return Dataset("made", table, names, read=lambda path: None)


ROWS = [
    (f"{person}{label}{n}", label, person)
    for person in "abcdefghijkl"
    for label in ("happy", "sad")
    for n in range(3)
]


@pytest.mark.parametrize("kind", ["fold-1-of-3", "fold-3-of-3"])
def test_a_fold_holds_the_same_people_whatever_the_order_of_rows(kind):
    tested = []
    for seed in (None, 1, 2):
        rows = list(ROWS)
        if seed is not None:
            np.random.default_rng(seed).shuffle(rows)
        rows = [tuple(row) for row in rows]
        dataset = people(rows)
        parts = np.asarray(make_split(dataset, kind, seed=5))
        subjects = dataset.manifest["subject"].to_numpy()
        sets = {p: set(subjects[parts == p]) for p in set(parts)}
        assert sum(map(len, sets.values())) == 12
        tested.append(len(sets["test"]))
    assert tested == [4, 4, 4]


# === Images ===


def test_a_blank_rgb_file_is_a_flaw(tmp_path):
    for name, colour in (("a.png", (9, 200, 30)), ("b.jpg", (255, 0, 0))):
        Image.new("RGB", (40, 30), colour).save(tmp_path / name)
        assert find_flaw(tmp_path / name) == "it is blank"
    picture = Image.new("RGB", (40, 30), (9, 200, 30))
    picture.putpixel((3, 3), (9, 200, 35))
    picture.save(tmp_path / "c.png")
    assert find_flaw(tmp_path / "c.png") is None
    picture.putpixel((3, 3), (9, 200, 34))
    picture.save(tmp_path / "d.png")
    assert find_flaw(tmp_path / "d.png") == "it is blank"


def test_exactly_the_most_pixels_are_taken(monkeypatch):
    stream = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(stream, "PNG")
    monkeypatch.setattr(images, "MAX_PIXELS", 600)
    assert read_image(stream.getvalue()).shape == (20, 30, 3)
    monkeypatch.setattr(images, "MAX_PIXELS", 599)
    with pytest.raises(UnreadableImageError, match="600"):
        read_image(stream.getvalue())


# === Costs and layers ===


def test_an_input_just_large_enough_for_valid_padding():
    layer = MultiScaleConv2D(2, (3, 7), padding="valid")
    assert layer(np.ones((1, 7, 9, 1), np.float32)).shape == (1, 1, 3, 4)
    assert layer.compute_output_shape((1, 7, 9, 1)) == (1, 1, 3, 4)
    with pytest.raises(ValueError):
        layer(np.ones((1, 6, 9, 1), np.float32))
    with pytest.raises(ValueError):
        layer.compute_output_shape((1, 9, 6, 1))


@pytest.mark.parametrize("scale", [-0.005, -0.01, 0.005, -0.5])
def test_the_gradient_of_a_scale_near_0(scale):
    """It is that at +-0.01, as if nothing had been done."""
    import tensorflow as tf

    def gradient(value):
        layer = Morlet(
            scale_initializer=keras.initializers.Constant(value),
            per_channel=False,
        )
        layer.build((1, 1))
        with tf.GradientTape() as tape:
            output = layer(np.array([[0.004]], np.float32))
        return float(tape.gradient(output, layer.scale.value))

    clipped = math.copysign(max(abs(scale), 0.01), scale)
    t = 0.004 / clipped
    # psi'(t) = -exp(-t^2 / 2) (w sin(w t) + t cos(w t)); dt/da = -t / a.
    w = 1.75
    slope = -math.exp(-t * t / 2) * (w * math.sin(w * t) + t * math.cos(w * t))
    expected = slope * -t / clipped
    assert expected != 0
    assert gradient(scale) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("fused", [True, False])
def test_groups_are_those_of_keras_own_convolution(padding, fused):
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(2, 9, 11, 6)).astype(np.float32)
    layer = MultiScaleConv2D(
        4, (1, 5), strides=2, padding=padding, groups=2, fused=fused
    )
    found = keras.ops.convert_to_numpy(layer(inputs))
    cut = 2 if padding == "valid" else 0
    expected = []
    for kernel, size in zip(layer.kernels, (1, 5), strict=True):
        one = layers.Conv2D(4, size, groups=2, use_bias=False, padding="valid")
        # Stride 1 first: "same" of a stride is centred otherwise by Keras.
        border = size // 2 - cut
        around = (max(border, 0),) * 2
        padded = np.pad(inputs, ((0, 0), around, around, (0, 0)))
        if border < 0:
            padded = padded[:, -border:border, -border:border]
        one.build(padded.shape)
        one.set_weights([keras.ops.convert_to_numpy(kernel)])
        expected.append(keras.ops.convert_to_numpy(one(padded))[:, ::2, ::2])
    np.testing.assert_allclose(
        found, np.concatenate(expected, axis=-1), atol=1e-4
    )
    # The whole kernel, with zeros for the channels that a filter skips.
    whole = layers.Conv2D(8, 5, use_bias=False, padding="valid")
    around = (0, 0) if cut else (2, 2)
    padded = np.pad(inputs, ((0, 0), around, around, (0, 0)))
    whole.build(padded.shape)
    whole.set_weights([keras.ops.convert_to_numpy(layer.fused_kernel())])
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(whole(padded))[:, ::2, ::2], found, atol=1e-4
    )
