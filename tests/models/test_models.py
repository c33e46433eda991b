"""The models against the article's numbers, and in a fresh process."""

import math
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from harness import check_gradients, pictures, predict_in_fresh_process

import kerafer
from kerafer.evaluation import complexity
from kerafer.models import registry
from kerafer.models.attention import make_attention
from kerafer.models.save import save_model

# Trainable parameters and multiply-adds at 7 classes and 224 x 224, worked out
# by hand from the article; a and b are one pair for each reduced channel.
TABLE = {
    "cnn": (57_033_415, 710_854_080),
    "mcnn": (57_640_647, 1_138_450_176),
    "wca_cnn": (57_035_463 + 2 * 16, 710_904_896),
    "wca_mcnn": (57_659_079 + 2 * 48, 1_138_627_200),
    "wse_mcnn": (57_659_079 + 2 * 48, 1_138_627_200 - 2 * 192 * 48),
    "resnet18": (11_180_103, 1_823_525_376),
    "msc_resnet18": (11_273_031, 8_729_524_224),
    "wca_resnet18": (11_182_151 + 2 * 16, 1_823_730_240),
    "msc_wca_resnet18": (11_291_463 + 2 * 48, 8_731_969_728),
}
ARTICLE = {
    "mcnn": (57.6406, 1.1385),
    "resnet18": (None, 1.8235),
    "msc_wca_resnet18": (11.29, 8.7320),
}


# Tested in files of their own.
OTHERS = [
    *("cder_net", "ddamfn", "ma_net", "mlcl_net", "res_emote_net"),
    "kerafer_edge",
]


def test_all_models_are_listed():
    assert kerafer.list_models() == sorted([*TABLE, *OTHERS])
    assert kerafer.list_models("*wca*resnet*") == [
        "msc_wca_resnet18",
        "wca_resnet18",
    ]
    assert kerafer.list_models("vgg*") == []


@pytest.mark.parametrize("name", TABLE)
def test_parameters_and_multiply_adds(name):
    model = kerafer.create_model(name)
    assert model.name == name
    assert complexity(model) == TABLE[name]
    if name in ARTICLE:
        parameters, macs = ARTICLE[name]
        assert round(complexity(model).macs / 1e9, 4) == macs
        if parameters:
            got = complexity(model).parameters / 1e6
            assert math.isclose(got, parameters, abs_tol=0.005)


def test_options_of_table_8s_footnote():
    shared = kerafer.create_model("wca_mcnn", ratio=8)
    assert complexity(shared).parameters == 57_649_863 + 2 * 24
    separate = kerafer.create_model("wca_mcnn", shared=False)
    assert complexity(separate).parameters == 57_677_511 + 4 * 48


@pytest.fixture(scope="module")
def plain():
    return kerafer.create_model("mcnn", 3, (40, 40, 1))


# Of a reduction of 192 channels by 4 to 48 and back, in wca_mcnn's place.
BOTTLENECK = 2 * 192 * 48


@pytest.mark.parametrize(
    ("options", "trainable", "fixed"),
    [
        ({}, BOTTLENECK + 2 * 48, 0),
        ({"trainable_wavelet": False}, BOTTLENECK, 2 * 48),
        ({"attention": "wse"}, BOTTLENECK + 2 * 48, 0),
        ({"attention": "se"}, BOTTLENECK, 0),
        ({"attention": "se", "ratio": 8}, BOTTLENECK // 2, 0),
        ({"attention": "channel"}, BOTTLENECK, 0),
        ({"attention": "channel", "shared": False}, 2 * BOTTLENECK, 0),
        ({"attention": "cbam"}, BOTTLENECK + 98, 0),
        ({"attention": "eca"}, 5, 0),
        # 192 / 32 would be 6: 8 it is, with biases, BatchNorm's pair, and the
        # running mean and variance.
        ({"attention": "coordinate"}, 3 * 192 * 8 + 8 + 2 * 192 + 16, 16),
        (
            {"attention": "coordinate", "ratio": 4},
            3 * 192 * 48 + 48 + 2 * 192 + 96,
            96,
        ),
    ],
)
def test_attentions_stand_in_one_place_at_equal_parameters(
    options, trainable, fixed, plain
):
    model = kerafer.create_model("wca_mcnn", 3, (40, 40, 1), **options)
    names = [layer.name for layer in model.layers]
    place = names.index("attention")
    assert names[place - 1] == "pool_1"
    assert names[:place] + names[place + 1 :] == [n.name for n in plain.layers]
    more = [
        sum(math.prod(w.shape) for w in weights)
        for weights in (
            model.get_layer("attention").trainable_weights,
            model.get_layer("attention").non_trainable_weights,
        )
    ]
    assert more == [trainable, fixed]
    assert model.count_params() - plain.count_params() == trainable + fixed


def test_wse_mcnn_is_wca_mcnn_with_wse():
    one = kerafer.create_model(
        "wse_mcnn", 3, (40, 40, 1), wavelet="mexh", trainable_wavelet=False
    )
    two = kerafer.create_model(
        "wca_mcnn",
        3,
        (40, 40, 1),
        attention="wse",
        wavelet="mexh",
        trainable_wavelet=False,
    )
    first, second = (m.get_layer("attention").get_config() for m in (one, two))
    assert first == second


@pytest.mark.parametrize("name", ["mcnn", "msc_wca_resnet18"])
@pytest.mark.parametrize("sizes", [3, 5, [7], (3, 5), (3, 3, 3)])
def test_one_scale_at_a_time(name, sizes):
    model = kerafer.create_model(name, 3, (40, 40, 3), kernel_sizes=sizes)
    sizes = [sizes] if isinstance(sizes, int) else sizes
    stem = model.get_layer("stem")
    channels = 64 * len(sizes)
    assert stem.output.shape[-1] == channels
    taps = sum(size**2 for size in sizes)
    bias = channels if name == "mcnn" else 0
    assert stem.count_params() == 64 * 3 * taps + bias
    side = {"mcnn": 20, "msc_wca_resnet18": 40}[name]
    assert stem.output.shape[1:3] == (side, side)


# Multiply-adds, and what the article's rule adds, for 27 x 27 places of 192
# channels, reduced to 48, or 8 by coordinate attention.
AVERAGE = (729 + 1) * 192
COSTS = {
    "wse": (BOTTLENECK, AVERAGE),
    "se": (BOTTLENECK, AVERAGE),
    "channel": (2 * BOTTLENECK, AVERAGE),
    "cbam": (2 * BOTTLENECK + 98 * 729, AVERAGE),
    "eca": (5 * 192, AVERAGE),
    "coordinate": (
        (27 + 27) * 3 * 192 * 8 - (27 + 27) * 192 * 8,
        (27 + 1) * 27 * 192 * 2 + 4 * 54 * 8,
    ),
}


@pytest.mark.parametrize("name", COSTS)
def test_every_attention_has_its_cost(name):
    inputs = keras.Input((27, 27, 192))
    model = keras.Model(inputs, make_attention(attention=name)(inputs))
    macs, paper = COSTS[name]
    assert complexity(model, "macs").macs == macs
    assert complexity(model, "paper").macs == macs + paper


def test_complexity_refuses_what_it_does_not_know():
    model = kerafer.create_model("cnn")
    with pytest.raises(kerafer.UserError, match="gflops"):
        complexity(model, "gflops")
    inputs = keras.Input((8, 8, 3))
    for strange in (
        keras.layers.Conv2DTranspose(2, 3),
        keras.layers.SeparableConv2D(2, 3),
    ):
        model = keras.Model(inputs, strange(inputs))
        with pytest.raises(kerafer.UserError, match=type(strange).__name__):
            complexity(model)
    loose = keras.Input((None, None, 3))
    dynamic = keras.Model(loose, keras.layers.Conv2D(2, 3)(loose))
    with pytest.raises(kerafer.UserError, match="input size"):
        complexity(dynamic)


@pytest.mark.parametrize("name", TABLE)
def test_every_parameter_gets_a_gradient(name):
    keras.utils.set_random_seed(1)
    model = kerafer.create_model(name, input_shape=(64, 64, 3))
    check_gradients(model, pictures((8, 64, 64, 3)))


def test_saved_models_answer_the_same_in_a_fresh_process(tmp_path):
    images = pictures((2, 64, 64, 1))
    files, expected = [], []
    for name in ("wca_mcnn", "msc_wca_resnet18", "wse_mcnn"):
        model = kerafer.create_model(name, 5, (64, 64, 1))
        model.save(tmp_path / f"{name}.keras")
        files.append(tmp_path / f"{name}.keras")
        expected.append(model.predict(images, verbose=0))
    got = predict_in_fresh_process(files, images, tmp_path)
    for ours, theirs in zip(expected, got, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "wse"},
        {"attention": "se"},
        {"attention": "eca"},
        {"attention": "cbam"},
        {"attention": "channel", "shared": False},
        {"attention": "coordinate"},
        {"trainable_wavelet": False},
        {"kernel_sizes": 3, "ratio": 8},
    ],
    ids=lambda options: ",".join(f"{k}={v}" for k, v in options.items()),
)
def test_every_option_trains_and_is_saved(options, tmp_path):
    images = pictures((4, 36, 36, 1))
    model = kerafer.create_model("wca_mcnn", 3, (36, 36, 1), **options)
    attention = model.get_layer("attention")
    before = attention.get_weights()
    model.compile(
        keras.optimizers.SGD(0.1),
        "sparse_categorical_crossentropy",
        run_eagerly=True,
    )
    model.train_on_batch(images, np.arange(4) % 3)
    for weight, old in zip(attention.weights, before, strict=True):
        fixed = options.get("trainable_wavelet") is False and (
            weight.name in ("scale", "shift")
        )
        # BatchNorm takes out what a bias in front of it would change.
        if weight.name != "reduce_bias":
            assert np.array_equal(weight, old) == fixed, weight.path
    save_model(model, tmp_path / "model.keras")
    loaded = kerafer.load_model(tmp_path / "model.keras")
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(theirs, ours)
    np.testing.assert_allclose(loaded(images), model(images), atol=1e-6)
    again = loaded.get_layer("attention")
    assert [w.trainable for w in again.weights] == [
        w.trainable for w in attention.weights
    ]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_gives_float32_probabilities(policy):
    images = pictures((4, 48, 48, 3))
    reference = kerafer.create_model("wca_resnet18", input_shape=(48, 48, 3))
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = kerafer.create_model("wca_resnet18", input_shape=(48, 48, 3))
    finally:
        keras.config.set_dtype_policy(before)
    model.set_weights(reference.get_weights())
    outputs = model(images)
    assert outputs.dtype == "float32"
    assert all(w.dtype == "float32" for w in model.weights[:-1])
    np.testing.assert_allclose(np.sum(outputs, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(outputs, reference(images), atol=0.1)


@pytest.mark.parametrize("size", [48, 63, 97])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_from_48_up_builds(size, channels):
    for name in ("cnn", "wca_mcnn", "resnet18", "msc_wca_resnet18"):
        shape = (size, size + 5, channels)
        assert kerafer.create_model(name, 3, shape).output_shape == (None, 3)


@pytest.mark.parametrize(
    ("name", "options", "least"),
    [
        ("cnn", {}, 63),
        ("mcnn", {}, 57),
        ("wca_mcnn", {"kernel_sizes": [5, 11]}, 57),
    ],
)
def test_least_size_is_the_least(name, options, least):
    options = {"stem_strides": 4, **options}
    kerafer.create_model(name, 2, (least, least, 3), **options)
    for shape in ((least - 1, 99, 3), (99, least - 1, 3)):
        with pytest.raises(kerafer.UserError, match=f"{least} x {least}"):
            kerafer.create_model(name, 2, shape, **options)
    # A stem of stride 2 takes smaller images.
    assert kerafer.create_model(name, 2, (least - 1, least, 3))
    with pytest.raises(kerafer.UserError, match="20 x 20"):
        kerafer.create_model(name, input_shape=(20, 20, 3))


def test_bytes_and_floats_are_the_same_picture():
    model = kerafer.create_model("cnn", input_shape=(64, 64, 3))
    images = pictures((2, 64, 64, 3)).astype("uint8")
    np.testing.assert_array_equal(
        model.predict(images, verbose=0),
        model.predict(images.astype("float32"), verbose=0),
    )
    first = keras.Model(model.input, model.get_layer("scaling").output)
    ends = np.array(
        first(
            np.array([0.0, 255.0]).reshape(2, 1, 1, 1) * np.ones((2, 64, 64, 3))
        )
    )
    assert ends.min() == -1 and ends.max() == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("wca_mcn",), "Did you mean wca_mcnn?"),
        (("cnn", 1), "1"),
        (("cnn", 7, (224, 224)), "(224, 224)"),
        (("cnn", 7, (224, 224, 4)), "(224, 224, 4)"),
        (("cnn", 7, (224, None, 3)), "(224, None, 3)"),
    ],
)
def test_a_wrong_argument_is_named(arguments, named):
    with pytest.raises(kerafer.UserError) as caught:
        kerafer.create_model(*arguments)
    assert named in str(caught.value)


STEM = {"kernel_sizes", "dilation_rates", "groups"}
WAVELET = {
    *("ratio", "wavelet", "center_frequency", "per_channel"),
    *("trainable_wavelet", "normalize", "adapt"),
    "learning_rate_multiplier",
}
ATTENTION = WAVELET | {"attention", "shared", "fusion"}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cnn", {"stem_strides"}),
        ("mcnn", {"stem_strides"} | STEM),
        ("wca_cnn", {"stem_strides"} | ATTENTION),
        ("wca_mcnn", {"stem_strides"} | STEM | ATTENTION),
        ("wse_mcnn", {"stem_strides"} | STEM | WAVELET),
        ("resnet18", set()),
        ("msc_resnet18", {"stem"} | STEM),
        ("wca_resnet18", ATTENTION),
        ("msc_wca_resnet18", {"stem"} | STEM | ATTENTION),
        ("kerafer_edge", {"width"} | ATTENTION),
        ("ddamfn", set()),
    ],
)
def test_options_of_every_variant(name, options):
    assert set(registry.find_model(name).options) == options


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("wca_mcnn", {"rato": 8}),
        ("wse_mcnn", {"shared": False}),
        ("wca_resnet18", {"kernel_sizes": 3}),
        ("resnet18", {"attention": "se"}),
        ("wca_cnn", {"attention": "sa"}),
        ("wca_cnn", {"attention": "eca", "ratio": 8}),
        ("wca_cnn", {"attention": "se", "wavelet": "mexh"}),
        ("wca_cnn", {"attention": "se", "shared": False}),
        ("wca_cnn", {"attention": "cbam", "trainable_wavelet": False}),
        ("wca_cnn", {"ratio": "eight"}),
        ("wca_cnn", {"shared": 1}),
        ("cnn", {"stem_strides": "4"}),
        ("wca_cnn", {"attention": None}),
    ],
)
def test_a_wrong_option_is_named(name, options):
    option, value = list(options.items())[-1]
    with pytest.raises(kerafer.UserError) as caught:
        kerafer.create_model(name, 3, (64, 64, 3), **options)
    assert option in str(caught.value)
    unknown = option not in registry.find_model(name).options
    assert unknown or str(value) in str(caught.value)


def test_an_attention_has_the_name_it_is_given():
    assert make_attention().name == "attention"
    layer = make_attention("gate", attention="wse", ratio=8)
    assert (layer.name, layer.ratio) == ("gate", 8)


def test_models_from_the_registry():
    assert all(
        registry.find_model(name).reference for name in kerafer.list_models()
    )
    spec = registry.find_model("ddamfn")
    assert spec.reference.startswith('Zhang et al., "A Dual-Direction')
    assert spec.reference.endswith("Electronics 12(17), 3595 (2023).")
    assert spec.size_note(112) is None and "112" in spec.size_note(224)
    note = registry.find_model("kerafer_edge").size_note(224)
    assert "48 to 112" in note and "224" in note
    assert registry.find_model("wca_mcnn").size_note(48) is None


def test_the_documentation_has_the_recommended_sizes():
    page = Path(__file__).parents[2] / "docs" / "models.md"
    rows = re.findall(
        r"^\| `(\w+)`[^|]*\| (any size|\d+) \|", page.read_text(), re.M
    )
    assert len(rows) == 5
    for name, told in rows:
        size = None if told == "any size" else (int(told), int(told))
        assert registry.find_model(name).recommended_size == size, name


def test_a_name_is_given_once(monkeypatch):
    monkeypatch.setattr(registry, "_SPECS", {})

    @registry.register_model
    def plain(num_classes, input_shape, depth: int = 1):
        """Nothing.

        Reference:
            Someone,
            somewhere.
        """

    with pytest.raises(ValueError, match="'plain'"):
        registry.register_model(plain)
    assert registry.list_models() == ["plain"]
    assert registry.find_model("plain").options == {"depth": int}
    assert registry.find_model("plain").reference == "Someone, somewhere."


def test_load_model_refuses_what_is_no_model(tmp_path):
    with pytest.raises(kerafer.UserError, match=r"none\.keras"):
        kerafer.load_model(tmp_path / "none.keras")
    with pytest.raises(kerafer.UserError, match=re.escape(str(tmp_path))):
        kerafer.load_model(tmp_path)
    torn = tmp_path / "torn.keras"
    model = kerafer.create_model("resnet18", 2, (48, 48, 1))
    model.save(torn)
    torn.write_bytes(torn.read_bytes()[:1000])
    with pytest.raises(kerafer.UserError, match=r"torn\.keras"):
        kerafer.load_model(torn)


def test_load_model_runs_no_code_from_the_file(tmp_path):
    inputs = keras.Input((3,))
    evil = keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2)(inputs))
    evil.save(tmp_path / "evil.keras")
    with pytest.raises(kerafer.UserError, match=r"evil\.keras"):
        kerafer.load_model(tmp_path / "evil.keras")
