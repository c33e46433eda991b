"""A few trials of each kind that `trials.py` has; all of them when slow."""

import pytest
import trials

FEW = {
    "images": 40,
    "archives": 40,
    "keras": 12,
    "tflite": 40,
    "texts": 30,
    "server": 12,
    "copies": 2000,
}


@pytest.mark.parametrize("kind", FEW)
def test_a_few(kind):
    assert trials.ALL[kind][0](FEW[kind]) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", trials.ALL)
def test_all(kind):
    run, count = trials.ALL[kind]
    failed = run(count)
    if failed is None:
        pytest.skip("nothing can be mounted here")
    assert failed == []
