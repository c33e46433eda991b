"""Exported files answer as the Keras model does, or do not appear."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from striped_export import CLASSES, SIZE, exported, run

from kerafer.cli import main
from kerafer.model_files import included_model

__all__ = ["exported", "run"]  # pytest finds fixtures by their names here.

VERIFY = Path(__file__).parents[2] / "scripts" / "verify_export.py"
EXACT = {"model.keras", "saved_model", "float32.tflite", "model.onnx"}
FILES = {
    "model.keras",
    "saved_model",
    "float32.tflite",
    "float16.tflite",
    "dynamic.tflite",
    "int8.tflite",
    "model.onnx",
    "model_int8.onnx",
}


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


# === The files ===


def test_all_formats_are_written(exported, run):
    manifest = manifest_of(exported)
    assert set(manifest["files"]) == FILES
    beside = {"labels.txt", "golden.npz", "manifest.json", "MODEL_CARD.md"}
    assert {file.name for file in exported.iterdir()} == FILES | beside
    assert manifest["labels"] == list(CLASSES)
    assert (exported / "labels.txt").read_text().split() == list(CLASSES)
    assert manifest["test"]["keras_accuracy"] > 0.8
    for name, facts in manifest["files"].items():
        assert facts["missed_gate"] is None
        if (exported / name).is_file():
            content = (exported / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == facts["sha256"]
            assert len(content) == facts["bytes"]
    best = hashlib.sha256((run / "best.keras").read_bytes()).hexdigest()
    assert manifest["source"]["sha256"] == best
    card = (exported / "MODEL_CARD.md").read_text()
    assert all(name in card for name in FILES)
    assert str(run.parent) not in json.dumps(manifest["files"])


@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_what_a_tflite_file_holds(exported, kind):
    file = exported / f"{kind}.tflite"
    interpreter = Interpreter(
        str(file),
        experimental_op_resolver_type=(
            OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        ),
    )
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    (target,) = interpreter.get_output_details()
    assert source["dtype"] == np.uint8
    assert source["shape"].tolist() == [1, SIZE, SIZE, 3]
    names = [op["op_name"] for op in interpreter._get_ops_details()]
    forbidden = {"SHAPE", "PACK", "STRIDED_SLICE", "CUSTOM", "SQRT", "RSQRT"}
    assert not forbidden & set(names)
    floats = [
        tensor["name"]
        for tensor in interpreter.get_tensor_details()
        if np.issubdtype(tensor["dtype"], np.floating)
    ]
    facts = manifest_of(exported)["files"][file.name]
    assert sum(facts["operators"].values()) == len(names)
    if kind == "int8":
        # The scaling's and the attention's; a BatchNorm brings more.
        assert names.count("MUL") == 2
        assert target["dtype"] == np.uint8
        assert source["quantization"] == (pytest.approx(1), 0)
        # Two 1x1 convolutions are the wavelet; none of its own operators.
        assert not {"GATHER", "CAST", "COS", "EXP"} & set(names)
        assert floats == []
        assert facts["float_tensors"] == 0
    with zipfile.ZipFile(file) as archive:
        assert archive.read("labels.txt").decode().split() == list(CLASSES)


def test_scores_are_those_of_the_test_pictures(exported, run):
    """Recomputed from the split and the file, past the exporter."""
    rows = [
        line.split(",") for line in (run / "split.csv").read_text().splitlines()
    ]
    place, part = rows[0].index("path"), rows[0].index("split")
    tested = [row[place] for row in rows[1:] if row[part] == "test"]
    interpreter = Interpreter(str(exported / "int8.tflite"))
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]["index"]
    target = interpreter.get_output_details()[0]["index"]
    right = 0
    for path in tested:
        picture = cv2.imread(str(run.parent / "data" / path))[..., ::-1]
        interpreter.set_tensor(source, np.ascontiguousarray(picture)[None])
        interpreter.invoke()
        answer = CLASSES[interpreter.get_tensor(target)[0].argmax()]
        right += answer == Path(path).parent.name
    manifest = manifest_of(exported)
    assert manifest["test"]["n_images"] == len(tested)
    accuracy = manifest["files"]["int8.tflite"]["accuracy"]
    assert accuracy == pytest.approx(right / len(tested))


def test_probabilities_are_near_those_of_keras(exported, run):
    model = keras.saving.load_model(run / "best.keras")
    with np.load(exported / "golden.npz") as golden:
        expected = model.predict(golden["images"], verbose=0)
        assert golden["images"].shape == (16, *model.input_shape[1:])
        # Of the data nothing is handed on: these are faces, not its bars.
        assert len({picture.tobytes() for picture in golden["images"]}) == 16
        assert golden["images"].std(axis=(1, 2)).min() > 20
        np.testing.assert_allclose(golden["keras"], expected, atol=1e-6)
        for name in FILES:
            coarse = name not in EXACT
            tolerance = 0.1 if coarse else 1e-4
            np.testing.assert_allclose(
                golden[name], expected, atol=tolerance, err_msg=name
            )


# === The check on the device ===


def verify_alone(folder, tmp_path):
    """Run a copy of the script where nothing but NumPy and LiteRT loads."""
    script = tmp_path / "verify_export.py"
    shutil.copy(VERIFY, script)
    for name in ("tensorflow", "keras", "kerafer", "cv2", "pandas"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError({name!r})\n")
    return subprocess.run(
        [sys.executable, str(script), str(folder)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )


def test_verify_export_on_its_own(exported, tmp_path):
    done = verify_alone(exported, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" ok") == 5
    assert "XNNPACK" in done.stdout and "reference" in done.stdout

    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    with np.load(copy / "golden.npz") as golden:
        arrays = dict(golden)
    arrays["int8.tflite"] = 1 - arrays["int8.tflite"]
    np.savez(copy / "golden.npz", **arrays)
    done = verify_alone(copy, tmp_path)
    assert done.returncode == 1
    assert done.stdout.count("FAILED") == 1
    assert verify_alone(tmp_path, tmp_path).returncode == 2


# === Gates and atomicity ===


def export(run, out, formats, *others):
    words = ["--model", str(run), "--out", str(out), "--formats", formats]
    return main(["export", *words, *others])


def test_a_missed_gate_leaves_the_file_out(run, tmp_path, capfd):
    out = tmp_path / "out"
    assert export(run, out, "int8", "--max-drop-int8", "-101") == 3
    assert list(tmp_path.iterdir()) == []
    assert "--max-drop-int8" in capfd.readouterr().err

    gate = ("--max-drop-int8", "-101")
    assert export(run, out, "float32,int8", *gate) == 3
    assert set(manifest_of(out)["files"]) == {"float32.tflite"}
    assert not (out / "int8.tflite").exists()

    kept = (*gate, "--ignore-gates", "--force")
    assert export(run, out, "float32,int8", *kept) == 0
    files = manifest_of(out)["files"]
    assert set(files) == {"float32.tflite", "int8.tflite"}
    assert "`max_drop_int8`" in files["int8.tflite"]["missed_gate"]
    assert "was kept" in (out / "MODEL_CARD.md").read_text()
    with np.load(out / "golden.npz") as golden:
        assert set(files) <= set(golden)
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_an_interrupted_export_changes_nothing(run, tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert export(run, out, "float32") == 0
    before = {file.name: file.read_bytes() for file in out.iterdir()}

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("kerafer.export.model_card.model_card", interrupt)
    assert export(run, out, "float32,dynamic", "--force") == 130
    assert {f.name: f.read_bytes() for f in out.iterdir()} == before
    assert list(tmp_path.iterdir()) == [out]


def test_an_earlier_export_is_replaced_with_force_only(run, tmp_path, capfd):
    out = tmp_path / "out"
    assert export(run, out, "float32") == 0
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    capfd.readouterr()
    assert export(run, out, "dynamic,float32") == 2
    told = capfd.readouterr().err
    assert "manifest.json" in told and "--force" in told
    assert {f.name: f.read_bytes() for f in out.iterdir()} == before
    assert export(run, out, "dynamic", "--force") == 0
    assert set(manifest_of(out)["files"]) == {"dynamic.tflite"}
    assert not (out / "float32.tflite").exists()


def test_mistakes_of_the_user(run, tmp_path, capfd):
    other = tmp_path / "mine"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    assert export(run, other, "float32") == 2
    assert str(other) in capfd.readouterr().err
    assert [file.name for file in other.iterdir()] == ["notes.txt"]

    assert export(run, tmp_path / "new", "float33") == 2
    assert "float33" in capfd.readouterr().err

    bare = tmp_path / "bare" / "best.keras"
    bare.parent.mkdir()
    shutil.copy(run / "best.keras", bare)
    shutil.copy(run / "config.yaml", bare.parent)
    assert export(bare, tmp_path / "new", "float32") == 2
    assert "split.csv" in capfd.readouterr().err
    assert not (tmp_path / "new").exists()
    for words, told in (
        (("--labels", "a,b,c"), "--labels"),
        (("--image-size", "64"), "--image-size"),
        (("--input", "float32"), "--input"),
    ):
        assert export(run, tmp_path / "new", "float32", *words) == 2
        assert told in capfd.readouterr().err


def test_with_images_of_its_own_a_run_s_model_is_a_file(
    run, tmp_path, monkeypatch
):
    file = tmp_path / "half" / "best.keras"
    file.parent.mkdir()
    for name in (file.name, "config.yaml"):
        shutil.copy(run / name, file.parent)
    photos = tmp_path / "photos"
    photos.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    cv2.imwrite(str(photos / "a.png"), noise)
    monkeypatch.chdir(tmp_path)
    words = ("--model", str(file), "--images", str(photos))
    assert main(["export", *words, "--formats", "float32"]) == 0
    assert Path("exported", "half", "float32.tflite").is_file()


# What an Android app of today runs a file with. It takes bytes as they are.
@pytest.mark.parametrize("kind", ["int8", "float16"])
def test_compiled_model_of_litert_agrees_with_its_interpreter(kind):
    from ai_edge_litert.compiled_model import CompiledModel

    file = included_model() / f"{kind}.tflite"
    model = CompiledModel.from_file(str(file))
    assert model.get_signature_list() == {
        "serving_default": {"inputs": ["image"], "outputs": ["probabilities"]}
    }
    (source,) = model.create_input_buffers(0)
    (target,) = model.create_output_buffers(0)
    with np.load(included_model() / "golden.npz") as golden:
        for image, expected in zip(
            golden["images"], golden[file.name], strict=True
        ):
            source.write(np.ascontiguousarray(image.ravel()))
            model.run_by_index(0, [source], [target])
            if kind == "int8":
                found = target.read(len(expected), np.uint8) / np.float32(256)
            else:
                found = target.read(len(expected), np.float32)
            np.testing.assert_allclose(found, expected, atol=1e-4)
