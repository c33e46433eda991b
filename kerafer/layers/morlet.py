"""A wavelet with trainable scale and shift as an activation."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kerafer.layers.arguments import Shape, boolean
from kerafer.layers.ramps import Ramps
from kerafer.layers.wavelets import WAVELETS

# Scales nearer to 0 than this count as this, with the sign they have. The
# gradient passes as if they did not, so a scale that wanders through 0 comes
# out on the other side.
SMALLEST_SCALE = 1e-2

# Every wavelet of the family is 0 in float32 from here on; without the bound,
# a large input would become infinite and its cosine NaN.
LARGEST_ARGUMENT = 32.0


@keras.saving.register_keras_serializable(package="kerafer")
class Morlet(keras.layers.Layer):
    """A wavelet as activation, with trainable scale `a` and shift `b`.

        t = (inputs - b) / a
        output = cos(1.75 * t) * exp(-t^2 / 2)

    `a` may take any value in training: where it is nearer to 0 than 0.01,
    +-0.01 stands in for it in the division, and its gradient goes on as if
    nothing had been done. The wavelet is computed in float32 under half
    precision.

    Args:
        center_frequency: Angular frequency of the Morlet wavelet, radians per
            unit of `t`. Defaults to 1.75, the article's (PyWavelets' `morl`
            has 5). The other wavelets have none and ignore it.
        per_channel: One pair `(a, b)` for each channel, or one for all.
            Defaults to `True`.
        wavelet: `"morlet"`, `"mexh"`, `"gaus1"` or `"gaus2"`, PyWavelets'
            names but for the first. Defaults to `"morlet"`.
        axis: Axis of the channels. Defaults to -1.
        scale_initializer: Of `a`. Defaults to `"ones"`.
        shift_initializer: Of `b`. Defaults to `"zeros"`.
        scale_regularizer, shift_regularizer, scale_constraint,
        shift_constraint: Default to none.
        trainable_wavelet: Whether training changes `a` and `b`; where not,
            they are non-trainable weights, whatever `trainable` is set to
            later. Defaults to `True`.

    Input shape:
        Any, with a defined number of channels.

    Output shape:
        The input's.

    Raises:
        ValueError: For an unknown wavelet, a centre frequency that is not
            positive, or an undefined number of channels.

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
        scale_regularizer: Any = None,
        shift_regularizer: Any = None,
        scale_constraint: Any = None,
        shift_constraint: Any = None,
        trainable_wavelet: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if wavelet not in WAVELETS:
            raise ValueError(
                f"`wavelet` must be one of {', '.join(WAVELETS)}. "
                f"Received: wavelet={wavelet!r}"
            )
        if not center_frequency > 0:
            raise ValueError(
                "`center_frequency` must be positive. "
                f"Received: center_frequency={center_frequency}"
            )
        self.center_frequency = center_frequency
        self.per_channel = boolean("per_channel", per_channel)
        self.wavelet = wavelet
        self.axis = axis
        self.scale_initializer = keras.initializers.get(scale_initializer)
        self.shift_initializer = keras.initializers.get(shift_initializer)
        self.scale_regularizer = keras.regularizers.get(scale_regularizer)
        self.shift_regularizer = keras.regularizers.get(shift_regularizer)
        self.scale_constraint = keras.constraints.get(scale_constraint)
        self.shift_constraint = keras.constraints.get(shift_constraint)
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
        # Without autocast: a half-precision copy would lose small steps.
        self.scale = self.add_weight(
            name="scale",
            shape=shape,
            initializer=self.scale_initializer,
            regularizer=self.scale_regularizer,
            constraint=self.scale_constraint,
            trainable=self.trainable_wavelet,
            autocast=False,
        )
        self.shift = self.add_weight(
            name="shift",
            shape=shape,
            initializer=self.shift_initializer,
            regularizer=self.shift_regularizer,
            constraint=self.shift_constraint,
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
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        scale = ops.cast(self.scale, dtype)
        shift = ops.cast(self.shift, dtype)
        if self.per_channel:
            shape = [1] * len(inputs.shape)
            shape[self.axis] = -1
            scale, shift = ops.reshape(scale, shape), ops.reshape(shift, shape)
        t = (ops.cast(inputs, dtype) - shift) / _away_from_zero(scale)
        t = ops.clip(t, -LARGEST_ARGUMENT, LARGEST_ARGUMENT)
        outputs = WAVELETS[self.wavelet](t, self.center_frequency)
        return ops.cast(outputs, inputs.dtype)

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
        scale = ops.convert_to_numpy(_away_from_zero(self.scale.value))
        factor = ramps.gain / scale
        summand = ramps.offset - factor * ops.convert_to_numpy(self.shift)
        return ramps, factor, summand

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "center_frequency": self.center_frequency,
            "per_channel": self.per_channel,
            "wavelet": self.wavelet,
            "axis": self.axis,
            "scale_initializer": keras.initializers.serialize(
                self.scale_initializer
            ),
            "shift_initializer": keras.initializers.serialize(
                self.shift_initializer
            ),
            "scale_regularizer": keras.regularizers.serialize(
                self.scale_regularizer
            ),
            "shift_regularizer": keras.regularizers.serialize(
                self.shift_regularizer
            ),
            "scale_constraint": keras.constraints.serialize(
                self.scale_constraint
            ),
            "shift_constraint": keras.constraints.serialize(
                self.shift_constraint
            ),
            "trainable_wavelet": self.trainable_wavelet,
        }


def _away_from_zero(scale: Any) -> Any:
    nearest = ops.where(scale < 0, -SMALLEST_SCALE, SMALLEST_SCALE)
    nearest = ops.cast(nearest, scale.dtype)
    safe = ops.where(ops.abs(scale) < SMALLEST_SCALE, nearest, scale)
    return scale + ops.stop_gradient(safe - scale)
