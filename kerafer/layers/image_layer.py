"""Base class of layers on images with either order of axes."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import Shape, one_of


class ImageLayer(keras.layers.Layer):
    """A layer on images, computed with the channels last.

    Args:
        data_format: `"channels_last"`, `"channels_first"`, or `None` for the
            setting of Keras.
        **kwargs: Those of `keras.layers.Layer`.
    """

    def __init__(self, data_format: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = one_of(
            "data_format",
            data_format or keras.config.image_data_format(),
            ("channels_last", "channels_first"),
        )
        self.input_spec = keras.layers.InputSpec(ndim=4)

    @property
    def _channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    def _channels(self, input_shape: Shape) -> int:
        channels = input_shape[self._channel_axis]
        if channels is None:
            raise ValueError(
                "The number of channels must be defined. "
                f"Received: input_shape={input_shape}"
            )
        return channels

    # The CPU kernels of TensorFlow support channels_last only.
    def _channels_last(self, inputs: Any) -> Any:
        if self.data_format == "channels_last":
            return inputs
        return ops.transpose(inputs, (0, 2, 3, 1))

    def _restored(self, outputs: Any) -> Any:
        """The outputs with the axes in the order of the layer's input."""
        if self.data_format == "channels_last":
            return outputs
        return ops.transpose(outputs, (0, 3, 1, 2))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "data_format": self.data_format}
