"""Dilated and grouped stems, and that of stride 2, against SciPy."""

import keras
import numpy as np
import pytest
from harness import check_layer, pictures, save_without
from scipy.signal import correlate2d

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


def correlated(inputs, kernel, rate, groups):
    """Every filter over its group's channels, as far as the image goes."""
    size, _, channels, filters = kernel.shape
    spread = np.zeros((*(2 * [rate * (size - 1) + 1]), channels, filters))
    spread[::rate, ::rate] = kernel
    outputs = np.zeros((*inputs.shape[:3], filters))
    for number, picture in enumerate(inputs):
        for one in range(filters):
            first = one // (filters // groups) * channels
            for channel in range(channels):
                outputs[number, :, :, one] += correlate2d(
                    picture[:, :, first + channel],
                    spread[:, :, channel, one],
                    "same",
                )
    return outputs


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
        whole = correlated(FEATURES, np.array(kernel), rate, groups)
        expected.append(whole[:, ::stride, ::stride])
    np.testing.assert_allclose(
        outputs, np.concatenate(expected, axis=-1), atol=2e-5
    )


def test_the_fused_kernel_of_groups_has_zeros_for_other_channels():
    layer = MultiScaleConv2D(4, (3, 5), groups=4, use_bias=False)
    outputs = layer(FEATURES)
    kernel = np.array(layer.fused_kernel())
    assert kernel.shape == (5, 5, 8, 8)
    whole = correlated(FEATURES, kernel, 1, 1)
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


def test_groups_state_the_rule():
    for groups in (0, 1.5, True):
        with pytest.raises(ValueError, match="`groups` must be a positive"):
            MultiScaleConv2D(4, groups=groups)
    with pytest.raises(
        ValueError, match=r"divide `filters`.*groups=3, filters=64"
    ):
        MultiScaleConv2D(64, groups=3)
    with pytest.raises(
        ValueError, match=r"divide the number of channels.*groups=3, channels=8"
    ):
        MultiScaleConv2D(6, groups=3)(FEATURES)


def test_files_from_before_groups_load(tmp_path):
    inputs = keras.Input((13, 11, 8))
    model = keras.Model(inputs, MultiScaleConv2D(2, strides=2)(inputs))
    loaded = kerafer.load_model(save_without(model, '"groups": 1', tmp_path))
    np.testing.assert_array_equal(loaded(FEATURES), model(FEATURES))


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

    first = relu_norm(correlated(x, np.array(fine.kernels[0]), 1, 1))
    padded = np.pad(first, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    parts = [windows.max((-2, -1))[:, ::2, ::2]]
    for kernel in wide.kernels:
        whole = correlated(x, np.array(kernel), 1, 1)
        parts.append(relu_norm(whole[:, ::2, ::2]))
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
    ("name", "options", "message"),
    [
        ("mcnn", {"dilation_rates": [1, 2]}, "must have 3 entries"),
        ("mcnn", {"dilation_rates": 2}, "must have 3 entries"),
        ("msc_resnet18", {"dilation_rates": [1, 2, 0]}, "positive integer"),
        ("msc_resnet18", {"dilation_rates": "123"}, "must be a list"),
        ("wca_mcnn", {"groups": 2}, "`groups` is 1, or .* channels=3"),
        ("wca_mcnn", {"groups": "3"}, "`groups` is a whole number. .*groups=3"),
        (
            "wca_mcnn",
            {"groups": True},
            "`groups` is a whole number. .*groups=True",
        ),
        ("msc_resnet18", {"stem": "half"}, "full or stride_2.* stem=half"),
        (
            "msc_wca_resnet18",
            {"stem": "stride_2", "kernel_sizes": 7},
            "two or more `kernel_sizes`. Received: 7",
        ),
        ("mcnn", {"stem": "stride_2"}, "The options of mcnn are .*stem"),
    ],
)
def test_stems_state_the_rule(name, options, message):
    with pytest.raises(ValueError, match=message):
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
            "fused": half * 3 * 49,
        },
        "msc_resnet18": {
            "full": whole * (83 + 4),
            "dilated": whole * (27 + 4),
            "depthwise": 48 * 48 * 60 * (83 + 3 * 4),
            "one scale": whole * 49 + 48 * 48 * 64 * 4,
            "stride_2": whole * 9
            + half * 74
            + (48 * 48 + 2 * 24 * 24) * 64 * 4,
            "fused": whole * 3 * 49,
        },
    }
    for arch, forms in expected.items():
        models = {
            name: kerafer.create_model(arch, 7, (48, 48, 3), **STEMS[name])
            for name in forms
            if name != "fused"
        }
        models["fused"] = kerafer.models.fuse(models["full"])
        counts = {name: stem_macs(model) for name, model in models.items()}
        assert counts == forms
        rest = complexity(models["full"]).macs - counts["full"]
        for name in ("dilated", "fused"):
            assert complexity(models[name]).macs - counts[name] == rest
