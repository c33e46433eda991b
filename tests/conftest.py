"""TensorFlow the way the commands load it, and one trained model for all."""

import os
import signal
import time

import keras
import pytest

from kerafer.console import show_progress
from kerafer.engine import load_tensorflow

load_tensorflow()

from kerafer.cli import main  # noqa: E402

TRAINED = [
    *("--arch", "wca_mcnn", "--dataset", "synthetic", "--subjects", "30"),
    *("--image-size", "64", "--epochs", "9", "--augment", "none"),
    *("--learning-rate", "2e-4", "--seed", "1"),
]


FLAGS = {"mixed_bfloat16": {"avx512_bf16"}, "float32": set()}


def pytest_addoption(parser):
    parser.addoption(
        "--auto-precision",
        choices=sorted(FLAGS),
        help="what --precision auto is to mean, whatever the processor",
    )


@pytest.fixture(scope="session", autouse=True)
def auto_precision(request):
    """The precision that `--auto-precision` names; `None` without it."""
    wanted = request.config.getoption("--auto-precision")
    with pytest.MonkeyPatch.context() as patch:
        if wanted:
            prefix = "kerafer.training.precision"
            patch.setattr(f"{prefix}.processor_flags", lambda: FLAGS[wanted])
            patch.setattr(f"{prefix}._gpu_capability", lambda: None)
        yield wanted


def pytest_collection_modifyitems(items):
    """Long tests first, so that no process is left with one at the end."""
    items.sort(
        key=lambda item: (
            "slow" not in item.keywords
            and "trained_run" not in getattr(item, "fixturenames", ())
        )
    )


@pytest.fixture
def ctrl_c():
    """Ctrl-C counts, also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def shown():
    """Standard error has what the library tells, as with a command."""
    with show_progress():
        yield


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory):
    """The folder of a run, trained once for all processes of the session."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, lock = shared / "trained", shared / "trained.lock"
    try:
        lock.mkdir()
    except FileExistsError:
        deadline = time.monotonic() + 400
        while not (folder / "metrics.json").exists():
            if time.monotonic() > deadline:
                pytest.fail("The shared run was not trained by its process.")
            time.sleep(0.5)
        return folder
    code = main(["train", *TRAINED, "--out", str(folder)])
    if code != 0:
        pytest.fail("The shared run failed.")
    return folder


@pytest.fixture(autouse=True)
def own_settings():
    """What a test sets for its process is taken back."""
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)
