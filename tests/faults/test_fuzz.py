"""Readers of foreign bytes, against bytes that Hypothesis thinks of.

Each either reads or raises what its documentation says, and nothing else. The
seeds are whole files and the damaged ones that were a fault once.
"""

import contextlib
import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from kerafer.datasets.archive import unpack
from kerafer.errors import UserError
from kerafer.images import UnreadableImageError, read_image
from kerafer.inference.model_source import read_labels
from kerafer.tables import read_table
from kerafer.untrusted import parse_yaml, read_json

PIXELS = np.arange(300, dtype=np.uint8).reshape(10, 10, 3)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=400)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


def fuzz(count):
    """The same examples each time; files of a test are made anew in it."""
    return settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=count,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(params=[50, pytest.param(1500, marks=pytest.mark.slow)])
def count(request):
    return request.param


def image_file(kind):
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, kind)
    return stream.getvalue()


def zip_file(method=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("labels.txt", "a\nb\n")
        archive.writestr("c/d.txt", "text" * 50)
    return stream.getvalue()


@st.composite
def spoilt(draw, *whole):
    """One of some files with stretches put in, taken out or overwritten."""
    content = bytearray(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 8))
        content[place : place + length] = draw(st.binary(max_size=8))
    return bytes(content)


@st.composite
def repacked(draw, whole):
    """An archive with one damaged file in it, whose checksum is right."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(whole)) as old,
        zipfile.ZipFile(stream, "w") as new,
    ):
        chosen = draw(st.sampled_from(old.namelist()))
        for name in old.namelist():
            content = old.read(name)
            if name == chosen:
                content = draw(spoilt(content))
            new.writestr(name, content)
    return stream.getvalue()


def test_images(count):
    whole = [image_file(kind) for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP")]

    @fuzz(count)
    @example(content=b"")
    @example(content=b"\x89PNG\r\n\x1a\n")
    @given(content=st.binary(max_size=200) | spoilt(*whole))
    def read(content):
        with contextlib.suppress(UnreadableImageError):
            assert read_image(content).dtype == np.uint8

    read()


def test_archives(count, tmp_path):
    numbers = iter(range(10**6))
    methods = (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    whole = [zip_file(method) for method in methods]

    @fuzz(count)
    @given(content=st.binary(max_size=100) | spoilt(*whole))
    def read(content):
        file = tmp_path / f"{next(numbers)}.zip"
        file.write_bytes(content)
        with contextlib.suppress(UserError):
            unpack(file, tmp_path / f"out{file.stem}")
        read_labels(file)
        file.unlink()

    read()


def test_json(count, tmp_path):
    file = tmp_path / "a.json"

    @fuzz(count)
    @example(content=b"[" * 50_000)
    @given(
        content=st.binary(max_size=100)
        | JSON.map(lambda value: json.dumps(value).encode())
    )
    def read(content):
        file.write_bytes(content)
        with contextlib.suppress(ValueError):
            assert isinstance(read_json(file), dict)

    read()


def test_yaml(count):
    @fuzz(count)
    @example(text="a: &a [1]\nb: *a")
    @example(text="? {a: 1}\n: 2")
    @example(text="2001-99-99")
    @given(text=TEXTS | JSON.map(json.dumps))
    def read(text):
        with contextlib.suppress(ValueError):
            parse_yaml(text)

    read()


def test_tables(count, tmp_path):
    file = tmp_path / "a.csv"

    @fuzz(count)
    @example(content=b"a,b\n1\n1,2,3\n")
    @given(content=st.binary(max_size=200) | spoilt(b"path,label\na,b\nc,d\n"))
    def read(content):
        file.write_bytes(content)
        with contextlib.suppress(ValueError):
            read_table(file)

    read()


def test_keras_files(count, tmp_path):
    import tiny_models

    from kerafer.models import load_model

    file = tmp_path / "model.keras"
    tiny_models.to_keras().save(file)
    whole = file.read_bytes()

    # A model takes a hundred times as long to load as an image.
    @fuzz(max(10, count // 10))
    @given(content=st.binary(max_size=100) | spoilt(whole) | repacked(whole))
    def read(content):
        file.write_bytes(content)
        with contextlib.suppress(UserError):
            load_model(file)

    read()


# LiteRT is no Python: a fault of it would end the whole session.
@pytest.mark.slow
def test_tflite_files(tmp_path):
    import tiny_models

    from kerafer.runtime import Recognizer

    file = tmp_path / "model.tflite"
    whole = tiny_models.with_labels(tiny_models.to_tflite())
    image = np.zeros((8, 8, 3), np.uint8)

    @fuzz(300)
    @given(content=st.binary(max_size=100) | spoilt(whole))
    def read(content):
        file.write_bytes(content)
        with contextlib.suppress(UserError):
            Recognizer(file).probabilities([image])

    read()
