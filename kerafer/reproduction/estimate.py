"""How long a plan will take."""

from __future__ import annotations

import time

from kerafer.foreign import read_json
from kerafer.reproduction.plan import Training
from kerafer.timing import interleaved_median
from kerafer.training.config import TrainingConfig


def estimate_seconds(
    plan: list[Training], images: int
) -> dict[str, tuple[float, str]]:
    """Judge how long the missing trainings of a plan take at most.

    An epoch of a model takes what it took in a run of it that stands, with
    validation and start-up; else what a few steps taken now say, and the start
    is that of these. Reading the data and the tests are not counted, and early
    stopping may end a run sooner.

    Args:
        plan: All trainings.
        images: In an epoch.

    Returns:
        For every training that is not done, by its name: seconds, and where
        its speed is from (`"a run"` or `"a short timing"`).
    """
    known: dict[tuple[str, str | None, int, int], tuple[float, float, str]] = {}
    for training in plan:
        if training.state == "done":
            facts = read_json(training.folder / "metrics.json")
            epoch = facts["seconds"] / facts["epochs"]
            known[_key(training.config)] = (0.0, epoch, "a run")
    found = {}
    for training in plan:
        config = training.config
        if training.state == "done":
            continue
        if _key(config) not in known:
            start, speed = _timed(config)
            known[_key(config)] = (start, images / speed, "a short timing")
        start, epoch, origin = known[_key(config)]
        found[training.name] = (start + config.epochs * epoch, origin)
    return found


def _key(config: TrainingConfig) -> tuple[str, str | None, int, int]:
    return config.arch, config.options, config.image_size, config.batch_size


def _timed(config: TrainingConfig) -> tuple[float, float]:
    """Seconds until the first step is done, and images a second then."""
    from kerafer.training.precision import resolve_precision
    from kerafer.training.speed import training_step

    began = time.perf_counter()
    step = training_step(
        config.arch,
        config.image_size,
        config.batch_size,
        resolve_precision(config.precision),
        config.model_options,
    )
    interleaved_median({"step": step}, repeats=1, warm_up=0)
    start = time.perf_counter() - began
    seconds = interleaved_median({"step": step}, repeats=3, warm_up=1)["step"]
    return start, config.batch_size / seconds
