"""Small images, and a cache of each test's own."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory, monkeypatch):
    """No test sees the data or the cache of whoever runs it."""
    place = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(place)
    monkeypatch.delenv("KERAFER_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    return place


@pytest.fixture
def draw():
    """Write images of noise to paths below a folder."""
    generator = np.random.default_rng(0)

    def write(root, *names, size=(8, 8)):
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = generator.integers(0, 256, (*size, 3), np.uint8)
            Image.fromarray(pixels).save(path)
        return root / names[-1]

    return write
