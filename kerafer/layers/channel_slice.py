"""A range of the channels of an image's features."""

from __future__ import annotations

from typing import Any

import keras

from kerafer.layers.arguments import Shape, get_settings


@keras.saving.register_keras_serializable(package="kerafer")
class ChannelSlice(keras.layers.Layer):
    """Return channels `start` to `stop - 1` of the input, channels last.

    Models with a branch for each group of channels split features this way. A
    slice that is a layer can be saved, counted and exported.

    Args:
        start: The first channel, 0 or more.
        stop: The channel after the last one.

    Input shape:
        `(batch, height, width, channels)` with at least `stop` channels.

    Output shape:
        `(batch, height, width, stop - start)`.

    Raises:
        ValueError: If the slice is empty, or the input has too few channels.

    Example:
        >>> features = keras.random.uniform((1, 14, 14, 128))
        >>> keras.ops.shape(ChannelSlice(96, 128)(features))
        (1, 14, 14, 32)
    """

    def __init__(self, start: int, stop: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        whole = type(start) is int and type(stop) is int
        if not whole or not 0 <= start < stop:
            raise ValueError(
                "`start` and `stop` must be integers with 0 <= start < stop. "
                f"Received: start={start!r}, stop={stop!r}"
            )
        self.start = start
        self.stop = stop
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        self.compute_output_shape(input_shape)

    def call(self, inputs: Any) -> Any:
        return inputs[..., self.start : self.stop]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        channels = input_shape[-1]
        if channels is None or channels < self.stop:
            raise ValueError(
                f"The input must have at least {self.stop} channels. "
                f"Received: channels={channels}"
            )
        return (*input_shape[:-1], self.stop - self.start)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | get_settings(self, "start", "stop")
