"""An exported folder of a small model that tells stripes apart."""

import cv2
import keras
import numpy as np
import pytest
import yaml
from keras import layers

from kerafer.cli import main
from kerafer.datasets import load, make_split, write_split
from kerafer.layers import MultiScaleConv2D, WaveletChannelAttention
from kerafer.models.save import save_model

SIZE = 32
CLASSES = ("across", "down", "slanting")


def striped(kind, generator):
    """A coloured image with stripes of one of three directions."""
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    along = {"across": y, "down": x, "slanting": (x + y) / 1.5}[kind]
    waves = np.sin(2 * np.pi * (3 * along + generator.uniform()))
    tint = generator.uniform(40, 110, 3)
    noise = generator.normal(0, 12, (SIZE, SIZE, 3))
    return np.clip(120 + waves[..., None] * tint + noise, 0, 255)


def small_model(classes=3, attention=WaveletChannelAttention, **options):
    """Every kind of layer of the package's models, but few of each."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    x = MultiScaleConv2D(8, strides=2, name="stem")(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.ZeroPadding2D(1)(x)
    x = layers.MaxPooling2D(3, 2)(x)
    x = attention(name="attention", **options)(x)
    y = layers.ZeroPadding2D(1)(x)
    y = layers.Conv2D(24, 3, strides=2, use_bias=False)(y)
    y = layers.BatchNormalization()(y)
    x = layers.Conv2D(24, 1, strides=2)(x)
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Dropout(0.2)(layers.Flatten()(x))
    x = layers.Dense(classes)(x)
    return keras.Model(inputs, layers.Softmax()(x))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run, with a small model that has learnt something."""
    root = tmp_path_factory.mktemp("export")
    generator = np.random.default_rng(0)
    keras.utils.set_random_seed(0)
    for label, kind in enumerate(CLASSES):
        folder = root / "data" / kind
        folder.mkdir(parents=True)
        for number in range(60):
            picture = striped(kind, generator).astype(np.uint8)
            cv2.imwrite(str(folder / f"{label}{number:03}.png"), picture)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        dataset = load("folder", str(root / "data"))
        split = make_split(dataset, "paper", 0)
        paths = dataset.manifest["path"]
        images = np.stack([dataset.read_image(path) for path in paths])
        train = np.flatnonzero(split == "train")
        model = small_model()
        model.compile(
            keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy"
        )
        model.fit(images[train], dataset.labels[train], epochs=12, verbose=0)
        folder = root / "run"
        write_split(folder / "split.csv", dataset, split)
        save_model(model, folder / "best.keras")
        facts = {"dataset": "folder", "data_dir": str(root / "data")}
        text = yaml.safe_dump({**facts, "split": "paper", "image_size": SIZE})
        (folder / "config.yaml").write_text(text)
        yield folder


@pytest.fixture(scope="module")
def exported(run):
    """All formats of it."""
    out = run.parent / "exported"
    words = ["--model", str(run), "--out", str(out), "--formats", "all"]
    assert main(["export", *words]) == 0
    return out
