"""What is timed of predictions, and that the numbers go together."""

import cv2
import numpy as np
import pytest
import tiny_models

from kerafer.errors import UserError
from kerafer.runtime.engine_speed import engine_speed
from kerafer.runtime.speed import batch_speed, video_speed


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """An export of the tiny model, with ONNX."""
    folder = tmp_path_factory.mktemp("export")
    plain = tiny_models.to_tflite()
    whole = tiny_models.to_tflite(quantized=True)
    for name, content in (
        ("float32.tflite", tiny_models.with_labels(plain)),
        ("int8.tflite", tiny_models.with_labels(whole)),
        ("model.onnx", tiny_models.to_onnx()),
    ):
        (folder / name).write_bytes(content)
    generator = np.random.default_rng(0)
    colours = np.concatenate([np.eye(3) * 250, generator.random((5, 3)) * 255])
    images = np.broadcast_to(colours[:, None, None], (8, 8, 8, 3))
    images = images.astype(np.uint8)
    answers = np.stack([tiny_models.expected(image) for image in images])
    np.savez(folder / "golden.npz", images=images, keras=answers)
    return folder


def by_name(rows):
    for row in rows:
        assert row["images_per_second"] * row[
            "milliseconds_per_image"
        ] == pytest.approx(1000, rel=0.2)
    return {row["what"]: row for row in rows}


def test_a_folder_is_timed_in_parts_and_whole(export, tmp_path):
    for index in range(5):
        cv2.imwrite(
            str(tmp_path / f"{index}.jpg"), np.full((90, 90, 3), 99, np.uint8)
        )
    rows = by_name(batch_speed(export / "float32.tflite", tmp_path, repeats=3))
    decode, model, whole = rows.values()
    assert list(rows) == [
        "folder: decode",
        "folder: model",
        "folder: all, to CSV",
    ]
    parts = decode["milliseconds_per_image"] + model["milliseconds_per_image"]
    assert whole["ratio"] == pytest.approx(
        whole["milliseconds_per_image"] / parts, rel=0.02
    )
    assert decode["ratio"] is None


def test_a_folder_s_faces_are_drawn_where_none_is_given(export):
    rows = by_name(batch_speed(export / "float32.tflite", repeats=1))
    # To decode 350 x 350 pixels takes more than any machine's clock tick.
    assert rows["folder: decode"]["milliseconds_per_image"] > 0.05


def test_a_folder_without_pictures_is_refused(export, tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"x")
    with pytest.raises(UserError, match="A folder of images is timed"):
        batch_speed(export / "float32.tflite", tmp_path)
    with pytest.raises(UserError, match="There is no"):
        batch_speed(export / "float32.tflite", tmp_path / "none")


def test_the_parts_of_a_video_add_up(export):
    rows = by_name(video_speed(export / "float32.tflite", every=10, repeats=1))
    taken = {
        name.partition(": ")[2]: row["milliseconds_per_image"]
        for name, row in rows.items()
    }
    searched = taken.pop("detection, a frame searched")
    whole = taken.pop("all, detection on every 10. frame")
    # 5 of the 50 frames are searched.
    assert sum(taken.values()) + searched / 10 == pytest.approx(whole, abs=0.01)
    assert set(taken) == {"reading", "tracking", "classification"}
    assert all(value > 0 for value in taken.values())
    assert searched > taken["tracking"]


def test_a_video_in_which_nothing_is_found_is_no_measurement(
    export, monkeypatch
):
    monkeypatch.setattr(
        "kerafer.runtime.speed._drawn_faces",
        lambda side: [np.full((side, side, 3), 90, np.uint8)],
    )
    with pytest.raises(UserError, match="nothing to time"):
        video_speed(export / "float32.tflite", repeats=1)


def test_both_engines_answer_as_the_model_did(export):
    rows = by_name(engine_speed(export, repeats=2, threads=1))
    assert list(rows) == [
        "engine: LiteRT float32",
        "engine: ONNX Runtime float32",
        "engine: LiteRT int8",
        "engine: ONNX Runtime int8",
    ]
    assert [row["same_class"] for row in rows.values()] == [1.0] * 4


def test_an_engine_s_wrong_answers_are_counted(export, tmp_path):
    """With the classes of half of the images turned around."""
    for name in ("float32.tflite", "int8.tflite", "model.onnx"):
        (tmp_path / name).write_bytes((export / name).read_bytes())
    with np.load(export / "golden.npz") as golden:
        images, answers = golden["images"], golden["keras"].copy()
    answers[:4] = answers[:4, [1, 2, 0]]
    np.savez(tmp_path / "golden.npz", images=images, keras=answers)
    rows = by_name(engine_speed(tmp_path, repeats=1, threads=1))
    assert [row["same_class"] for row in rows.values()] == [0.5] * 4


def test_an_export_without_onnx_is_refused(export, tmp_path):
    with pytest.raises(UserError, match=r"no model\.onnx.* in") as caught:
        engine_speed(_without(export, tmp_path, "model.onnx"))
    assert "--formats float32,int8,onnx" in str(caught.value)


def _without(export, folder, left_out):
    for file in export.iterdir():
        if file.name != left_out:
            (folder / file.name).write_bytes(file.read_bytes())
    return folder
