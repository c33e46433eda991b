"""Dilated and grouped stems, and that of stride 2, against SciPy."""

import re
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from by_hand import convolution
from harness import check_layer, pictures

import kerafer
from kerafer.evaluation import complexity
from kerafer.layers import MultiScaleConv2D

STEMS = {
    "full": {},
    "dilated": {"kernel_sizes": (3, 3, 3), "dilation_rates": (1, 2, 3)},
    "depthwise": {"groups": 3},
    "one scale": {"kernel_sizes": 7},
    "stride_2": {"stem": "stride_2"},
}
FEATURES = np.random.default_rng(0).normal(size=(2, 13, 11, 8)).astype("f")


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    ("groups", "filters", "stride", "rates"),
    [
        (2, 6, 1, (1, 1, 1)),
        (4, 4, 2, (1, 1, 1)),
        (8, 16, 1, (1, 1, 1)),
        (2, 4, 1, (1, 2, 1)),
        (8, 8, 2, (2, 1, 1)),
    ],
)
def test_every_group_sees_its_own_channels(
    groups, filters, stride, rates, fused
):
    arguments = {
        "filters": filters,
        "groups": groups,
        "strides": stride,
        "dilation_rates": rates,
        "fused": fused,
    }
    layer, outputs = check_layer(MultiScaleConv2D, arguments, FEATURES)
    expected = []
    for kernel, size, rate in zip(layer.kernels, (3, 5, 7), rates, strict=True):
        assert kernel.shape == (size, size, 8 // groups, filters)
        expected.append(convolution(FEATURES, kernel, stride, rate, groups))
    np.testing.assert_allclose(
        outputs, np.concatenate(expected, axis=-1), atol=2e-5
    )


DOCS = Path(__file__).parents[2] / "docs"
BACKENDS = {"TensorFlow": "tensorflow", "JAX": "jax", "PyTorch": "torch"}


def fuses(monkeypatch, backend, training, **arguments):
    """Whether a layer computes one convolution by default."""
    counted = []
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(
        keras.ops,
        "conv",
        lambda *args, conv=keras.ops.conv, **kwargs: (
            counted.append(1) or conv(*args, **kwargs)
        ),
    )
    MultiScaleConv2D(2, **arguments)(FEATURES, training=training)
    monkeypatch.undo()
    return len(counted) == 1


def test_the_default_is_documented(monkeypatch):
    page = (DOCS / "models.md").read_text("utf-8")
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (\w+) \|$", page, re.M)
    told = {row[0]: row[1:] for row in rows if row[0] in BACKENDS}
    assert told.keys() == BACKENDS.keys()
    for name, forms in told.items():
        for form, training in zip(forms, (False, True), strict=True):
            fused = fuses(monkeypatch, BACKENDS[name], training)
            assert form == ("fused" if fused else "branches"), name
            assert not fuses(
                monkeypatch,
                BACKENDS[name],
                training,
                dilation_rates=(1, 2, 1),
            )


def test_the_default_is_the_faster_one_as_measured(monkeypatch):
    table = pd.read_csv(DOCS / "results" / "stem.csv")
    table["training"] = table["what"].str.endswith("training")
    groups = table.groupby(["backend", "training"])["ratio"]
    assert len(groups) == 2 * len(BACKENDS)
    for (backend, training), ratios in groups:
        fused_is_faster = np.log(ratios).mean() > 0
        assert fuses(monkeypatch, backend, training) == fused_is_faster


def test_the_fused_kernel_of_groups_has_zeros_for_other_channels():
    layer = MultiScaleConv2D(4, (3, 5), groups=4, use_bias=False)
    outputs = layer(FEATURES)
    kernel = np.array(layer.fused_kernel())
    assert kernel.shape == (5, 5, 8, 8)
    whole = convolution(FEATURES, kernel)
    np.testing.assert_allclose(outputs, whole, atol=2e-5)
    # Of 8 channels each of 4 filters sees the two that follow its number.
    seen = np.abs(kernel).sum(axis=(0, 1)) > 0
    np.testing.assert_array_equal(
        seen, np.tile(np.kron(np.eye(4), np.ones((2, 1))), (1, 2)) > 0
    )


def test_groups_of_channels_first():
    last = MultiScaleConv2D(4, groups=2, strides=2)
    expected = np.array(last(FEATURES))
    first = MultiScaleConv2D(
        4, groups=2, strides=2, data_format="channels_first"
    )
    turned = FEATURES.transpose(0, 3, 1, 2)
    first.build(turned.shape)
    first.set_weights(last.get_weights())
    outputs = np.array(first(turned)).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def stems(name, channels=3, **options):
    """The multi-scale layers of a model of 40 x 40 pixels."""
    model = kerafer.create_model(name, 3, (40, 40, channels), **options)
    found = [x for x in model.layers if isinstance(x, MultiScaleConv2D)]
    return model, found


@pytest.mark.parametrize(
    "name",
    ["mcnn", "wca_mcnn", "wse_mcnn", "msc_resnet18", "msc_wca_resnet18"],
)
def test_every_builder_has_dilation_and_groups(name):
    _, (stem,) = stems(
        name, kernel_sizes=[3, 3, 3], dilation_rates=[1, 2, 3], groups=3
    )
    assert stem.kernel_sizes == (3, 3, 3)
    assert stem.dilation_rates == (1, 2, 3)
    assert [kernel.shape for kernel in stem.kernels] == [(3, 3, 1, 60)] * 3
    assert stem.fused_kernel().shape[:2] == (7, 7)


def test_dilated_3x3_sees_as_far_as_3_5_7():
    image = np.zeros((1, 21, 21, 1), "f")
    image[0, 10, 10] = 1
    for arguments, taps in (
        ({"kernel_sizes": (3, 5, 7)}, [9, 25, 49]),
        ({"kernel_sizes": (3, 3, 3), "dilation_rates": (1, 2, 3)}, [9] * 3),
    ):
        layer = MultiScaleConv2D(1, kernel_initializer="ones", **arguments)
        reached = np.array(layer(image))[0]
        for branch, width in enumerate((3, 5, 7)):
            rows, columns = np.nonzero(reached[:, :, branch])
            assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == width
            assert len(rows) == taps[branch]


def test_the_stem_of_stride_2_pools_the_finest_branch():
    model, (fine, wide) = stems("msc_wca_resnet18", stem="stride_2")
    assert (fine.kernel_sizes, fine.strides) == ((3,), (1, 1))
    assert (wide.kernel_sizes, wide.strides) == ((5, 7), (2, 2))
    full, _ = stems("msc_wca_resnet18")
    # What the attention and the body are given has the article's size.
    assert (
        model.get_layer("attention").input.shape
        == full.get_layer("attention").input.shape
        == (None, 20, 20, 192)
    )
    images = pictures((2, 40, 40, 3))
    got = keras.Model(model.input, model.get_layer("attention").input)(images)
    x = np.array(model.get_layer("scaling")(images))

    def relu_norm(values):
        # A norm that has seen nothing divides by the root of its epsilon + 1.
        return np.maximum(values, 0) / np.sqrt(1 + 1e-5)

    first = relu_norm(convolution(x, fine.kernels[0]))
    padded = np.pad(first, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    parts = [windows.max((-2, -1))[:, ::2, ::2]]
    for kernel in wide.kernels:
        parts.append(relu_norm(convolution(x, kernel, 2)))
    np.testing.assert_allclose(got, np.concatenate(parts, -1), atol=1e-4)


@pytest.mark.parametrize("size", [33, 40])
def test_the_stem_of_stride_2_fits_odd_sizes(size):
    _, (fine, wide) = stems(
        "msc_resnet18",
        1,
        stem="stride_2",
        kernel_sizes=[7, 3],
        dilation_rates=[1, 4],
    )
    # A dilated 3 x 3 may see farther than 7 x 7.
    assert (fine.kernel_sizes, fine.dilation_rates) == ((7,), (1,))
    assert (wide.kernel_sizes, wide.dilation_rates) == ((3,), (4,))
    model = kerafer.create_model(
        "msc_resnet18", 3, (size, size + 1, 1), stem="stride_2"
    )
    assert model.output_shape == (None, 3)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mcnn", {"dilation_rates": [1, 2]}),
        ("mcnn", {"dilation_rates": 2}),
        ("msc_resnet18", {"dilation_rates": [1, 2, 0]}),
        ("msc_resnet18", {"dilation_rates": "123"}),
        ("wca_mcnn", {"groups": 2}),
        ("wca_mcnn", {"groups": "3"}),
        ("wca_mcnn", {"groups": True}),
        ("msc_resnet18", {"stem": "half"}),
        ("msc_wca_resnet18", {"kernel_sizes": 7, "stem": "stride_2"}),
        ("mcnn", {"stem": "stride_2"}),
        *(
            (name, {"kernel_sizes": sizes})
            for name in ("wca_mcnn", "msc_resnet18")
            for sizes in (4, [3, 6], [], 0, True, None, "3", ["3"])
        ),
    ],
)
def test_a_wrong_stem_option_is_named(name, options):
    with pytest.raises(ValueError, match=list(options)[-1]):
        kerafer.create_model(name, 3, (48, 48, 3), **options)


def test_one_branch_may_be_dilated_by_a_single_number():
    _, (stem,) = stems("mcnn", kernel_sizes=3, dilation_rates=3)
    assert stem.dilation_rates == (3,)


def test_a_gray_picture_is_one_group():
    _, (stem,) = stems("mcnn", 1, groups=1)
    assert stem.filters == 64
    with pytest.raises(ValueError, match=r"groups=3, channels=1"):
        stems("mcnn", 1, groups=3)


def stem_macs(model):
    names = [layer.name for layer in model.layers]
    last = "stem_scales" if "stem_scales" in names else "pool_1"
    stem = keras.Model(model.input, model.get_layer(last).output)
    return complexity(stem).macs


def test_the_macs_of_every_form_are_counted():
    # Places, filters, channels seen, taps; the last a norm's 4 an output.
    half, whole = 24 * 24 * 64 * 3, 48 * 48 * 64 * 3
    expected = {
        "mcnn": {
            "full": half * 83,
            "dilated": half * 27,
            "depthwise": 24 * 24 * 60 * 83,
            "one scale": half * 49,
        },
        "msc_resnet18": {
            "full": whole * (83 + 4),
            "dilated": whole * (27 + 4),
            "depthwise": 48 * 48 * 60 * (83 + 3 * 4),
            "one scale": whole * 49 + 48 * 48 * 64 * 4,
            "stride_2": whole * 9
            + half * 74
            + (48 * 48 + 2 * 24 * 24) * 64 * 4,
        },
    }
    for arch, forms in expected.items():
        models = {
            name: kerafer.create_model(arch, 7, (48, 48, 3), **STEMS[name])
            for name in forms
        }
        counts = {name: stem_macs(model) for name, model in models.items()}
        assert counts == forms
        rest = complexity(models["full"]).macs - counts["full"]
        assert complexity(models["dilated"]).macs - counts["dilated"] == rest
