"""Some of the channels of an image's features."""

from __future__ import annotations

from typing import Any

import keras

from kerafer.layers.arguments import Shape


@keras.saving.register_keras_serializable(package="kerafer")
class ChannelSlice(keras.layers.Layer):
    """Channels `start` to `stop - 1` of its input, the channels last.

    Several of them split features into groups, which models with a branch for
    each group need; a slice that is a layer can be saved, counted and
    exported.

    Args:
        start: The first channel, 0 or more.
        stop: The channel behind the last one.

    Input shape:
        `(batch, height, width, channels)` with `stop` channels or more.

    Output shape:
        `(batch, height, width, stop - start)`.

    Raises:
        ValueError: For a slice without channels, or one that the input does
            not have.

    Example:
        >>> features = keras.random.uniform((1, 14, 14, 128))
        >>> keras.ops.shape(ChannelSlice(96, 128)(features))
        (1, 14, 14, 32)
    """

    def __init__(self, start: int, stop: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for value in (start, stop):
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError(
                    "`start` and `stop` must be integers. "
                    f"Received: start={start!r}, stop={stop!r}"
                )
        if not 0 <= start < stop:
            raise ValueError(
                "`start` must be 0 or more and `stop` above it. "
                f"Received: start={start}, stop={stop}"
            )
        self.start = start
        self.stop = stop
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape: Shape) -> None:
        self._check(input_shape)

    def call(self, inputs: Any) -> Any:
        return inputs[..., self.start : self.stop]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self._check(input_shape)
        return (*input_shape[:-1], self.stop - self.start)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "start": self.start,
            "stop": self.stop,
        }

    def _check(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        if channels is None or channels < self.stop:
            raise ValueError(
                f"A slice up to channel {self.stop} needs an input with at "
                f"least so many. Received: channels={channels}"
            )
