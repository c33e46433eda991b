"""Gates keep files back that differ from the Keras model."""

import dataclasses

import numpy as np
import pytest

from kerafer.errors import UserError
from kerafer.export.compare import (
    Answers,
    Comparison,
    OutputComparison,
    Reference,
    compare,
    missed_gate,
)
from kerafer.export.config import ExportConfig
from kerafer.export.source import check_calibration

GOOD = Comparison(
    accuracy=0.9,
    macro_f1=0.9,
    accuracy_lost=0.0,
    agreement=1.0,
    mean_difference=0.0,
    largest_difference=0.0,
    part_of_range=0.0,
    outputs={"probabilities": OutputComparison(1.0, 0.0, 0.0)},
    milliseconds=1.0,
    bytes=1,
    n_images=1000,
)


def missed(kind, config=None, **changed):
    changed = dataclasses.replace(GOOD, **changed)
    return missed_gate(kind, changed, config or ExportConfig())


@pytest.mark.parametrize("kind", ["dynamic", "int8"])
def test_eight_bits_may_lose_half_a_point(kind):
    assert missed(kind, accuracy_lost=0.5) is None
    assert missed(kind, accuracy_lost=0.51)
    wide = ExportConfig(**{f"max_drop_{kind}": 2.0})
    assert missed(kind, wide, accuracy_lost=1.9) is None


def test_a_missed_gate_counts_images_and_names_a_small_test_set():
    few = missed("int8", accuracy_lost=100 / 84, n_images=84)
    assert "1 of 84 images" in few and "too small" in few
    many = missed("int8", accuracy_lost=1.0, n_images=3000)
    assert "30 of 3,000 images" in many and "too small" not in many


@pytest.mark.parametrize("kind", ["keras", "savedmodel", "float32", "onnx"])
def test_exact_formats_differ_by_a_thousandth_at_most(kind):
    assert missed(kind, part_of_range=1e-3) is None
    assert "0.0011" in missed(kind, part_of_range=1.1e-3)


def test_require_integer_refuses_float_tensors():
    strict = ExportConfig(require_integer=True)
    assert missed("int8", float_tensors=3) is None
    assert missed("int8", strict, float_tensors=0) is None
    assert "3" in missed("int8", strict, float_tensors=3)
    assert missed("float16", strict, float_tensors=3) is None


def compared(tmp_path, keras, ours):
    """Compare outputs by name, as arrays of the same shapes."""
    file = tmp_path / "file.onnx"
    file.touch()
    images = np.zeros((len(next(iter(keras.values()))), 2, 2, 3), np.uint8)
    return compare(file, Answers(ours, 1.0), Reference(images, keras))


@pytest.mark.parametrize("kind", ["float16", "dynamic", "int8"])
def test_every_output_must_pass(tmp_path, kind):
    """A second output was off by its whole range once, and passed."""
    noise = np.random.default_rng(0)
    classes = np.eye(4)[noise.integers(0, 4, 50)]
    numbers = np.tanh(noise.normal(size=(50, 1)))
    outputs = {"probabilities": classes, "valence": numbers}
    same = compared(tmp_path, outputs, [classes, numbers])
    assert missed_gate(kind, same, ExportConfig()) is None
    near = compared(tmp_path, outputs, [classes, numbers + 0.05])
    assert missed_gate(kind, near, ExportConfig()) is None
    wrong = compared(tmp_path, outputs, [classes, -numbers])
    assert "valence" in missed_gate(kind, wrong, ExportConfig())


def test_logits_are_judged_by_the_predicted_class(tmp_path):
    logits = np.random.default_rng(0).normal(size=(200, 5)) * 4
    scaled = compared(tmp_path, {"logits": logits}, [logits * 1.3])
    assert missed_gate("int8", scaled, ExportConfig()) is None
    rolled = compared(tmp_path, {"logits": logits}, [np.roll(logits, 1, 1)])
    assert "logits" in missed_gate("int8", rolled, ExportConfig())


def test_without_labels_nine_of_ten_must_agree(tmp_path):
    classes = np.eye(2)[np.arange(100) % 2]
    for wrong, passes in ((10, True), (11, False)):
        ours = classes.copy()
        ours[:wrong] = 1 - ours[:wrong]
        found = compared(tmp_path, {"probabilities": classes}, [ours])
        assert (missed_gate("int8", found, ExportConfig()) is None) == passes


@pytest.mark.parametrize(
    ("images", "told"),
    [
        (np.zeros((40, 8, 8, 3), np.uint8), "0 or 1"),
        (np.ones((40, 8, 8, 3), np.uint8), "0 or 1"),
        (np.full((40, 8, 8, 3), 77, np.uint8), "equal"),
        (np.zeros((40, 8, 8, 3), np.float32), "equal"),
        (np.random.default_rng(0).integers(0, 255, (2, 8, 8, 3)), "few"),
    ],
)
def test_images_that_cannot_calibrate_are_refused(images, told):
    with pytest.raises(UserError, match=told):
        check_calibration(images)


def test_few_calibration_images_bring_a_warning(caplog):
    images = np.random.default_rng(0).integers(0, 255, (49, 8, 8, 3), np.uint8)
    with caplog.at_level("WARNING", logger="kerafer"):
        check_calibration(images)
        assert "49" in caplog.text
        caplog.clear()
        check_calibration(np.concatenate([images, images]))
        assert not caplog.text
