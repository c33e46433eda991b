"""How long a plan will take."""

from __future__ import annotations

from kerafer.foreign import read_json
from kerafer.reproduction.plan import Training
from kerafer.training.config import TrainingConfig


def estimate_seconds(
    plan: list[Training], pictures: int
) -> dict[str, tuple[float, str]]:
    """Judge how long the missing trainings of a plan take at most.

    The speed of a model is that of a run of it that stands, else that of a
    few steps taken now. Reading the data and the tests are not counted, and
    early stopping may end a run sooner.

    Args:
        plan: All trainings.
        pictures: In an epoch.

    Returns:
        For every training that is not done, by its name: seconds, and where
        its speed is from (`"a run"` or `"a short timing"`).
    """
    speeds: dict[tuple[str, str | None, int, int], tuple[float, str]] = {}
    for training in plan:
        if training.state == "done":
            facts = read_json(training.folder / "metrics.json")
            key = _key(training.config)
            speeds[key] = (facts["images_per_second"], "a run")
    found = {}
    for training in plan:
        config = training.config
        if training.state == "done":
            continue
        if _key(config) not in speeds:
            speeds[_key(config)] = (_timed(config), "a short timing")
        speed, origin = speeds[_key(config)]
        seconds = config.epochs * pictures / speed
        found[training.name] = (seconds, origin)
    return found


def _key(config: TrainingConfig) -> tuple[str, str | None, int, int]:
    return config.arch, config.options, config.image_size, config.batch_size


def _timed(config: TrainingConfig) -> float:
    from kerafer.training.precision import resolve_precision
    from kerafer.training.speed import median_seconds, training_step

    step = training_step(
        config.arch,
        config.image_size,
        config.batch_size,
        resolve_precision(config.precision),
        config.model_options,
    )
    seconds = median_seconds({"step": step}, repeats=3, warm_up=2)["step"]
    return config.batch_size / seconds
