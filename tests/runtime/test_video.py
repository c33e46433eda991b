"""Videos of every kind: their times, their pixels, where they come from.

The files in `data` were made by FFmpeg 9: `variable.mp4`'s frames stand at
TIMES; the pixels of `wide_pixels.mp4` are 64:45, of `tall_pixels.mkv` 1:2.
"""

import csv
import functools
import http.server
import shutil
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_models
from PIL import Image

from kerafer.cli import main
from kerafer.errors import UserError
from kerafer.runtime.annotate import annotate
from kerafer.runtime.sources import find_left_out, find_sources
from kerafer.runtime.video import VideoReader, VideoWriter, is_stream, is_video

DATA = Path(__file__).parent / "videos"
TIMES = [0, 0.04, 0.08, 0.12, 0.48, 0.52, 1.0, 2.0, 2.04, 2.08, 4.0, 5.76]
MODEL = ("--detector", "none", "--model", "model.tflite", "--labels", "a,b,c")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("model.tflite").write_bytes(tiny_models.to_tflite())
    return tmp_path


def film(file, rate, frames=12, size=(64, 48), code="mp4v"):
    """A video of gray frames, each darker than the one before."""
    writer = cv2.VideoWriter(
        str(file), cv2.VideoWriter_fourcc(*code), rate, size
    )
    for number in range(frames):
        shade = 250 - 20 * number
        writer.write(np.full((size[1], size[0], 3), shade, np.uint8))
    writer.release()
    return file


def times(file):
    with VideoReader(file) as reader:
        return [seconds for seconds, _ in reader]


def rows():
    with open("predictions/predictions.csv", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


# === Time ===


def test_a_frame_has_the_time_of_the_container():
    np.testing.assert_allclose(times(DATA / "variable.mp4"), TIMES, atol=1e-3)
    for file, count in (("wide_pixels.mp4", 4), ("tall_pixels.mkv", 4)):
        expected = np.arange(count) / 25
        np.testing.assert_allclose(times(DATA / file), expected, atol=1e-3)


@pytest.mark.parametrize("rate", [0.5, 5, 29.97, 480])
def test_any_rate_is_the_files_own(rate, tmp_path):
    file = film(tmp_path / "film.mp4", rate)
    np.testing.assert_allclose(times(file), np.arange(12) / rate, atol=2e-3)
    with VideoReader(file) as reader:
        assert reader.rate == pytest.approx(rate, rel=1e-3)
        assert reader.frames == 12


@pytest.mark.parametrize("rate", [0.5, 5, 30, 480])
def test_a_copy_has_the_time_of_its_original(rate, here):
    film("film.mp4", rate)
    assert main(["predict", "film.mp4", *MODEL]) == 0
    expected = np.arange(12) / rate
    np.testing.assert_allclose(
        [float(row["seconds"]) for row in rows()], expected, atol=2e-3
    )
    np.testing.assert_allclose(
        times("predictions/film.mp4"), expected, atol=2e-3
    )


def test_a_copy_of_a_variable_rate_shows_each_frame_when_it_was_seen(here):
    shutil.copy(DATA / "variable.mp4", "film.mp4")
    assert main(["predict", "film.mp4", *MODEL]) == 0
    told = [float(row["seconds"]) for row in rows()]
    np.testing.assert_allclose(told, TIMES, atol=1e-3)
    # Each frame is lighter than the one before: 20 levels each.
    with VideoReader(Path("predictions/film.mp4")) as reader:
        shown = [(s, frame[-4:, -4:].mean()) for s, frame in reader]
        step = 1 / reader.rate
    assert shown[-1][0] == pytest.approx(TIMES[-1], abs=step)
    for seconds, shade in shown:
        seen = np.searchsorted(TIMES, [seconds - step, seconds + step])
        assert 20 * (seen[0] - 1) - 8 <= shade <= 20 * seen[1] + 8


def test_seconds_are_those_of_the_video(here):
    shutil.copy(DATA / "variable.mp4", "film.mp4")
    assert main(["predict", "film.mp4", *MODEL, "--seconds", "2.05"]) == 0
    assert [float(row["seconds"]) for row in rows()][-1] == 2.08


class Capture:
    """OpenCV's, with other times."""

    def __init__(self, times):
        self.times, self.next = times, 0

    def read(self):
        self.next += 1
        return self.next <= len(self.times), np.zeros((8, 8, 3), np.uint8)

    def get(self, what):
        known = {
            cv2.CAP_PROP_FPS: 10.0,
            cv2.CAP_PROP_FRAME_COUNT: len(self.times),
            cv2.CAP_PROP_POS_MSEC: 1000 * self.times[self.next - 1],
        }
        return known.get(what, 0.0)

    def release(self):
        pass


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([0, 0, 0, 0], [0, 0.1, 0.2, 0.3]),
        ([0, 0.1, float("nan"), 0.3], [0, 0.1, 0.2, 0.3]),
        ([0, 0.1, float("inf"), 0.3], [0, 0.1, 0.2, 0.3]),
        ([-0.5, 0.1, 0.2, 0.3], [0, 0.1, 0.2, 0.3]),
        # A clock that was set anew, forward by 26 hours and back.
        ([0, 0.1, 95443.7, 95443.9], [0, 0.1, 0.2, 0.4]),
        ([5000, 5000.1, 0, 0.3], [5000, 5000.1, 5000.2, 5000.5]),
    ],
)
def test_times_that_can_not_be_are_made_up(told, expected, monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Capture(told))
    with VideoReader(DATA / "variable.mp4") as reader:
        found = [seconds for seconds, _ in reader]
    if told[0] == 5000:
        # Of the start nothing is known; only that it goes on.
        found = [5000 + seconds - found[0] for seconds in found]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_gap_does_not_fill_the_disk(tmp_path):
    file = tmp_path / "gap.mp4"
    frame = np.zeros((48, 64, 3), np.uint8)
    with VideoWriter(file, 1000) as writer:
        writer.write(frame, 0)
        writer.write(frame, 3000)
    assert file.stat().st_size < 2_000_000


# === Pixels that are not square ===


@pytest.mark.parametrize(
    ("name", "shape"),
    [("wide_pixels.mp4", (48, 91)), ("tall_pixels.mkv", (96, 64))],
)
def test_pixels_are_made_square(name, shape, here):
    with VideoReader(DATA / name) as reader:
        assert {frame.shape for _, frame in reader} == {(*shape, 3)}
    shutil.copy(DATA / name, "film" + Path(name).suffix)
    assert main(["predict", "film" + Path(name).suffix, *MODEL]) == 0
    (first, *_) = rows()
    assert (int(first["height"]), int(first["width"])) == shape
    with VideoReader(Path("predictions/film.mp4")) as reader:
        _, copy = next(iter(reader))
    # Annotated copies are enlarged, in proportion.
    assert copy.shape[1] / copy.shape[0] == pytest.approx(
        shape[1] / shape[0], rel=0.02
    )


@pytest.mark.parametrize(
    ("across", "down", "size"),
    [
        (1, 1, (8, 8)),
        (0, 0, (8, 8)),
        (0, 1, (8, 8)),
        (-4, 3, (8, 8)),
        (4, 3, (8, 11)),
        (3, 4, (11, 8)),
        (10**9, 1, (1, 4096)),
        (1, 10**9, (4096, 1)),
    ],
)
def test_what_a_file_claims_of_its_pixels_is_bounded(
    across, down, size, monkeypatch
):
    capture = Capture([0, 0.1])
    get = capture.get
    claims = {cv2.CAP_PROP_SAR_NUM: across, cv2.CAP_PROP_SAR_DEN: down}
    capture.get = lambda what: claims[what] if what in claims else get(what)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: capture)
    with VideoReader(DATA / "variable.mp4") as reader:
        _, frame = next(iter(reader))
    assert frame.shape[:2] == size


# === Where they come from ===


@pytest.mark.parametrize("number", [-1, -(2**31), 100, 2**31, 2**63])
def test_a_camera_that_can_not_be_is_refused(number, here, capfd):
    with pytest.raises(UserError, match="0 to 99"):
        VideoReader(number)
    assert main(["predict", "--camera", str(number), *MODEL]) == 2
    assert "0 to 99" in capfd.readouterr().err


NAMES = ("a.MTS", "a.m2ts", "a.flv", "a.ogv", "a.qt", "a.vob", "a.asf", "a.f4v")


@pytest.mark.parametrize("name", [*NAMES, "a", "a.unheard", "a.jpg"])
def test_a_video_is_known_by_its_content(name, here):
    shutil.copy(film("film.mp4", 10), name)
    Path("film.mp4").unlink()
    assert is_video(Path(name))
    assert main(["predict", name, *MODEL]) == 0
    assert len(rows()) == 12
    # In a folder its suffix must be one.
    taken = [source.path.name for source in find_sources([str(here)], here)]
    assert (name in taken) == ("." in name and name != "a.unheard")


def test_a_picture_is_one_whatever_its_name(here):
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save("a.png")
    Path("a.png").rename("a.mp4")
    (source,) = find_sources(["a.mp4"], here)
    assert not source.is_video


def test_text_is_never_opened_as_a_video(here):
    """FFmpeg would draw it, or open the files that it lists."""
    film("film.mp4", 10)
    for name, text in {
        "list.txt": "ffconcat version 1.0\nfile film.mp4\n",
        "list.m3u8": "#EXTM3U\n#EXTINF:1,\nfilm.mp4\n",
        "list.mp4": "#EXTM3U\n#EXTINF:1,\nfilm.mp4\n",
        "notes.txt": "words\n" * 200,
    }.items():
        Path(name).write_text(text)
        assert not is_video(Path(name))
        with pytest.raises(UserError, match="gets no frame"):
            VideoReader(Path(name))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_a_stream_is_a_source_like_a_file(here, capfd):
    assert is_stream("rtsp://camera/1") and is_stream("HTTP://a/b.mjpg")
    assert not is_stream("file:///etc/passwd") and not is_stream("a://b")
    (here / "web").mkdir()
    film("web/film.avi", 10, code="MJPG")
    handler = functools.partial(Quiet, directory=here / "web")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"127.0.0.1:{server.server_address[1]}"
        address = f"http://me:secret@{place}/film.avi?key=secret"
        assert main(["predict", address, *MODEL]) == 0
        assert len(rows()) == 12
        found = [*Path("predictions").iterdir()]
        assert len(found) == 2
        written = Path("predictions/predictions.csv").read_text("utf-8")
        told = written + capfd.readouterr().err + "".join(map(str, found))
        assert "secret" not in told
        assert main(["predict", f"http://{place}/no.mp4", *MODEL]) == 2
        server.shutdown()
    assert "A stream gives an image within" in capfd.readouterr().err


# === What is left out ===


def test_what_a_folder_has_besides_is_counted_and_named(here, capfd):
    Path("many/deep").mkdir(parents=True)
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save("many/a.png")
    for name in ("b.txt", "c.PDF", "deep/d.pdf", "deep/README", ".hidden"):
        Path("many", name).write_text("none")
    assert main(["predict", "many", *MODEL]) == 0
    told = capfd.readouterr().err
    assert "4 skipped: 2 .pdf, 1 .txt, 1 without a suffix" in told
    assert len(find_left_out(["many", "many"], here)) == 4
    assert find_left_out(["many/b.txt"], here) == []
    Path("many/a.png").unlink()
    assert main(["predict", "many", *MODEL]) == 2
    assert "2 .pdf" in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tiff"])
def test_of_several_pictures_in_a_file_the_first_is_said_to_count(
    kind, here, capfd
):
    frames = [Image.new("RGB", (40, 40), c) for c in ("red", "blue")]
    frames[0].save(f"a.{kind}", save_all=True, append_images=frames[1:])
    frames[0].save("one.gif")
    assert main(["predict", f"a.{kind}", "one.gif", *MODEL]) == 0
    told = capfd.readouterr().err
    assert f"1 of 2 with several images, of which the first counts: a.{kind}"
    assert "the first counts: a." in told
    assert main(["predict", "one.gif", *MODEL]) == 0
    assert "first counts" not in capfd.readouterr().err


# === Any size ===


@pytest.mark.parametrize(
    "size", [(4000, 1), (1, 4000), (20000, 1), (1, 20000), (70000, 1), (1, 1)]
)
def test_thin_images_stay_small(size, here):
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[: size[1] // 2 + 1, : size[0] // 2 + 1] = 200
    drawn = annotate(image, [])
    assert drawn.size <= 65_500 * 3 * 320
    Image.fromarray(image).save("thin.png")
    Image.fromarray(image[:9, :9]).resize((99, 99)).save("good.png")
    words = ("--model", "model.tflite", "--labels", "a,b,c")
    assert main(["predict", "thin.png", "good.png", *words]) == 0
    assert {row["source"] for row in rows()} == {"thin.png", "good.png"}
    for name in ("thin", "good"):
        copy = cv2.imread(f"predictions/{name}.jpg")
        assert copy is not None and max(copy.shape) <= 65_500


def test_a_tilde_in_quotes_is_the_home_folder(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("USERPROFILE", str(here))
    (here / "photos").mkdir()
    Image.new("RGB", (40, 40), "red").save("photos/a.png")
    words = (
        "--detector",
        "none",
        "--labels",
        "a,b,c",
        "--model=~/model.tflite",
    )
    assert main(["predict", "~/photos/*.png", *words, "--out", "~/out"]) == 0
    assert (here / "out" / "predictions.csv").is_file()
    assert not Path("~").exists()
