"""Gates of an export, with limits worked out by hand."""

import dataclasses

import pytest

from kerafer.export.config import ExportConfig
from kerafer.export.gates import missed_gate
from kerafer.export.verify import Verified

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
