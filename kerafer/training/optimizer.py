"""The optimizer of a training."""

from __future__ import annotations

from typing import Any

import keras

from kerafer.training.config import TrainingConfig
from kerafer.training.fused import FusedAdam

# Weight decay would pull a wavelet's scale or a BatchNorm's factor to zero,
# which is no simpler model.
_NOT_DECAYED = ["bias", "gamma", "beta", "scale", "shift", "alpha"]


def make_optimizer(
    config: TrainingConfig, steps: int
) -> keras.optimizers.Optimizer:
    """Make Adam, AdamW or SGD (momentum 0.9).

    Args:
        config: Uses `optimizer`, `learning_rate`, `schedule`, `warmup_epochs`,
            `epochs`, `weight_decay` and `ema`.
        steps: Batches per epoch.
    """
    arguments: dict[str, Any] = {"learning_rate": _learning_rate(config, steps)}
    if config.weight_decay:
        arguments["weight_decay"] = config.weight_decay
    if config.ema:
        arguments |= {"use_ema": True, "ema_momentum": config.ema}
    if config.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(momentum=0.9, **arguments)
    else:
        # With Keras' weight decay, Adam is AdamW.
        optimizer = FusedAdam(**arguments)
    if config.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    return optimizer


def _learning_rate(config: TrainingConfig, steps: int) -> Any:
    peak, warmup = config.learning_rate, config.warmup_epochs * steps
    if config.schedule == "constant":
        return peak
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else peak,
        decay_steps=config.epochs * steps - warmup,
        warmup_target=peak if warmup else None,
        warmup_steps=warmup,
    )
