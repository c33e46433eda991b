"""An activation that is a wavelet with trainable scale and shift."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kerafer.layers.arguments import (
    Shape,
    boolean,
    get_settings,
    one_of,
    positive,
    set_objects,
)
from kerafer.layers.ramps import Ramps
from kerafer.layers.wavelets import WAVELETS

# Scales nearer to 0 than this are replaced by it, with their sign. The gradient
# ignores that, so a scale can pass through 0 in training.
SMALLEST_SCALE = 1e-2

# All wavelets are 0 in float32 beyond this. Without the bound, the cosine of a
# large input would be NaN.
LARGEST_ARGUMENT = 32.0


@keras.saving.register_keras_serializable(package="kerafer")
class Morlet(keras.layers.Layer):
    """Apply a wavelet with trainable scale `a` and shift `b`.

        t = (inputs - b) / a
        output = cos(1.75 * t) * exp(-t^2 / 2)

    `a` can take any value in training: if it is nearer to 0 than 0.01, the
    division uses +-0.01 instead, and the gradient is that of the division by
    `a` itself. The wavelet is computed in float32 under half precision.

    Args:
        center_frequency: Angular frequency of the Morlet wavelet, radians per
            unit of `t`. The other wavelets ignore it. Default: 1.75, the
            article's (`morl` of PyWavelets has 5).
        per_channel: Whether each channel has its own `a` and `b`. Default:
            `True`.
        wavelet: `"morlet"`, `"mexh"`, `"gaus1"` or `"gaus2"`; all but the
            first are the names in PyWavelets. Default: `"morlet"`.
        axis: Axis of the channels. Default: -1.
        scale_initializer: Of `a`. Default: `"ones"`.
        shift_initializer: Of `b`. Default: `"zeros"`.
        trainable_wavelet: Whether training changes `a` and `b`. If not, they
            are non-trainable weights, whatever `trainable` is set to later.
            Default: `True`.
        learning_rate_multiplier: How many times as fast Adam and optimizers
            like it change `a` and `b`: the weights are `a` and `b` divided by
            it. Default: 1.

    Input shape:
        Any, with a defined number of channels.

    Output shape:
        The input's.

    Raises:
        ValueError: If the wavelet is unknown, the centre frequency or the
            multiplier is not positive, or the number of channels is undefined.

    Example:
        >>> float(Morlet()(keras.ops.zeros((1, 1)))[0, 0])  # the wave's crest
        1.0

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), "Structure of the
        wCA-CNN and wCA-ResNet18".
    """

    def __init__(
        self,
        center_frequency: float = 1.75,
        per_channel: bool = True,
        wavelet: str = "morlet",
        axis: int = -1,
        scale_initializer: Any = "ones",
        shift_initializer: Any = "zeros",
        trainable_wavelet: bool = True,
        learning_rate_multiplier: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.center_frequency = positive("center_frequency", center_frequency)
        self.learning_rate_multiplier = positive(
            "learning_rate_multiplier", learning_rate_multiplier
        )
        self.per_channel = boolean("per_channel", per_channel)
        self.wavelet = one_of("wavelet", wavelet, tuple(WAVELETS))
        self.axis = axis
        set_objects(
            self,
            scale_initializer=scale_initializer,
            shift_initializer=shift_initializer,
        )
        self.trainable_wavelet = boolean("trainable_wavelet", trainable_wavelet)
        self.supports_masking = True
        self._ramps: tuple[Ramps, np.ndarray, np.ndarray] | None = None

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[self.axis]
        if channels is None:
            raise ValueError(
                "The number of channels must be defined. "
                f"Received: input_shape={input_shape}, axis={self.axis}"
            )
        shape = (channels,) if self.per_channel else ()
        self.scale = self._weight("scale", shape)
        self.shift = self._weight("shift", shape)

    def _weight(self, name: str, shape: tuple[int, ...]) -> keras.Variable:
        first = getattr(self, f"{name}_initializer")

        def divided(shape: tuple[int, ...], dtype: Any = None) -> Any:
            return first(shape, dtype=dtype) / self.learning_rate_multiplier

        # Without autocast: a half-precision copy would lose small steps.
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=first
            if self.learning_rate_multiplier == 1
            else divided,
            trainable=self.trainable_wavelet,
            autocast=False,
        )

    def call(self, inputs: Any) -> Any:
        if self._ramps is not None:
            ramps, factor, summand = self._ramps
            if self.per_channel:
                shape = [1] * len(inputs.shape)
                shape[self.axis] = -1
                factor, summand = factor.reshape(shape), summand.reshape(shape)
            return ramps(ops.relu6(inputs * factor + summand))
        t = ops.clip(self.argument(inputs), -LARGEST_ARGUMENT, LARGEST_ARGUMENT)
        outputs = WAVELETS[self.wavelet](t, self.center_frequency)
        return ops.cast(outputs, inputs.dtype)

    def argument(self, inputs: Any) -> Any:
        """Compute `t = (inputs - b) / a`, in float32 or float64."""
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        scale, shift = (
            ops.cast(weight, dtype) for weight in self._parameters()
        )
        if self.per_channel:
            shape = [1] * len(inputs.shape)
            shape[self.axis] = -1
            scale, shift = ops.reshape(scale, shape), ops.reshape(shift, shape)
        return (ops.cast(inputs, dtype) - shift) / _away_from_zero(scale)

    def _parameters(self) -> tuple[Any, Any]:
        if self.learning_rate_multiplier == 1:
            return self.scale, self.shift
        return (
            self.scale * self.learning_rate_multiplier,
            self.shift * self.learning_rate_multiplier,
        )

    def parameters(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the scale `a` and the shift `b`."""
        scale, shift = self._parameters()
        return ops.convert_to_numpy(scale), ops.convert_to_numpy(shift)

    def set_parameters(self, scale: np.ndarray, shift: np.ndarray) -> None:
        """Set the scale `a` and the shift `b`."""
        self.scale.assign(scale / self.learning_rate_multiplier)
        self.shift.assign(shift / self.learning_rate_multiplier)

    def set_export(self, form: str | None) -> None:
        """Compute with ramps for files of 8 bits, from here on.

        Args:
            form: `"integer"`; anything else computes the wavelet itself.
        """
        self._ramps = self.ramps() if form == "integer" else None

    def ramps(self) -> tuple[Ramps, np.ndarray, np.ndarray]:
        """Express the wavelet by clipped ramps.

        Returns:
            The ramps, and the factor and summand that turn inputs into what
            they take: `relu6(factor * inputs + summand)`. Both have the shape
            of the scale.
        """
        ramps = Ramps.of(self.wavelet, self.center_frequency)
        scale, shift = self.parameters()
        factor = ramps.gain / ops.convert_to_numpy(_away_from_zero(scale))
        summand = ramps.offset - factor * shift
        return ramps, factor, summand

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | get_settings(
            self,
            "center_frequency",
            "per_channel",
            "wavelet",
            "axis",
            "scale_initializer",
            "shift_initializer",
            "trainable_wavelet",
            "learning_rate_multiplier",
        )


def _away_from_zero(scale: Any) -> Any:
    nearest = ops.where(scale < 0, -SMALLEST_SCALE, SMALLEST_SCALE)
    nearest = ops.cast(nearest, scale.dtype)
    safe = ops.where(ops.abs(scale) < SMALLEST_SCALE, nearest, scale)
    return scale + ops.stop_gradient(safe - scale)
