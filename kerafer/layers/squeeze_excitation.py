"""SE, the channel attention that wSE is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kerafer.layers.channel_attention import ChannelAttention


@keras.saving.register_keras_serializable(package="kerafer")
class SqueezeExcitation(ChannelAttention):
    """Squeeze-and-excitation (SE).

        output = inputs * sigmoid(W2 . relu(W1 . average pool))

    W1 reduces the channels by `ratio`, W2 restores them: `ChannelAttention`
    without the maximum. With the same ratio it is `WaveletSqueezeExcitation`
    with ReLU for the wavelet.

    Args:
        ratio: Divides the channels. Defaults to 4, as in the wavelet
            attentions; Hu et al. have 16.
        activation: Between W1 and W2. Defaults to `"relu"`.
        use_bias: Whether biases are added behind W1 and W2. Defaults to
            `False`.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to
            Keras' setting.
        kernel_initializer: Of W1 and W2. Defaults to `"glorot_uniform"`.
        kernel_regularizer, kernel_constraint: Of W1 and W2. Default to none.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        The input's.

    Raises:
        ValueError: For a ratio below 1, channels that it does not divide, or
            an undefined number of channels.

    Example:
        >>> features = keras.random.uniform((1, 27, 27, 192))
        >>> keras.ops.shape(SqueezeExcitation(ratio=16)(features))
        (1, 27, 27, 192)

    Reference:
        Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018.
    """

    pools = ("average",)

    def __init__(
        self,
        ratio: int = 4,
        activation: str | Callable | None = "relu",
        use_bias: bool = False,
        data_format: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        kernel_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            ratio=ratio,
            shared=True,
            activation=activation,
            use_bias=use_bias,
            data_format=data_format,
            kernel_initializer=kernel_initializer,
            kernel_regularizer=kernel_regularizer,
            kernel_constraint=kernel_constraint,
            **kwargs,
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["shared"]
        return config
