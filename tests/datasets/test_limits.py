"""Folds of subjects, and images at the limits."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kerafer import images
from kerafer.datasets.dataset import Dataset
from kerafer.datasets.splits import make_split
from kerafer.images import UnreadableImageError, find_flaw, read_image


def people(rows):
    """A data set of rows `(path, label, subject)`."""
    table = pd.DataFrame(rows, columns=["path", "label", "subject"])
    names = tuple(sorted(set(table["label"])))
    return Dataset("made", table, names, read=lambda path: None)


ROWS = [
    (f"{person}{label}{n}", label, person)
    for person in "abcdefghijkl"
    for label in ("happy", "sad")
    for n in range(3)
]


@pytest.mark.parametrize("kind", ["fold-1-of-3", "fold-3-of-3"])
def test_a_fold_holds_the_same_people_whatever_the_order_of_rows(kind):
    tested = []
    for seed in (None, 1, 2):
        rows = list(ROWS)
        if seed is not None:
            np.random.default_rng(seed).shuffle(rows)
        rows = [tuple(row) for row in rows]
        dataset = people(rows)
        parts = np.asarray(make_split(dataset, kind, seed=5))
        subjects = dataset.manifest["subject"].to_numpy()
        sets = {p: set(subjects[parts == p]) for p in set(parts)}
        assert sum(map(len, sets.values())) == 12
        tested.append(len(sets["test"]))
    assert tested == [4, 4, 4]


def test_a_blank_rgb_file_is_a_flaw(tmp_path):
    for name, colour in (("a.png", (9, 200, 30)), ("b.jpg", (255, 0, 0))):
        Image.new("RGB", (40, 30), colour).save(tmp_path / name)
        assert find_flaw(tmp_path / name) == "it is blank"
    picture = Image.new("RGB", (40, 30), (9, 200, 30))
    picture.putpixel((3, 3), (9, 200, 35))
    picture.save(tmp_path / "c.png")
    assert find_flaw(tmp_path / "c.png") is None
    picture.putpixel((3, 3), (9, 200, 34))
    picture.save(tmp_path / "d.png")
    assert find_flaw(tmp_path / "d.png") == "it is blank"


def test_exactly_the_most_pixels_are_taken(monkeypatch):
    stream = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(stream, "PNG")
    monkeypatch.setattr(images, "MAX_PIXELS", 600)
    assert read_image(stream.getvalue()).shape == (20, 30, 3)
    monkeypatch.setattr(images, "MAX_PIXELS", 599)
    with pytest.raises(UnreadableImageError, match="600"):
        read_image(stream.getvalue())
