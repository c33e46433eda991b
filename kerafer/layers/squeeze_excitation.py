"""SE, the channel attention that wSE modifies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from kerafer.layers.channel_attention import ChannelAttention


@keras.saving.register_keras_serializable(package="kerafer")
class SqueezeExcitation(ChannelAttention):
    """Weigh channels by their average (squeeze-and-excitation, SE).

        output = inputs * sigmoid(W2 . relu(W1 . average pool))

    W1 reduces the channels by `ratio`, W2 restores them: `ChannelAttention`
    without the maximum. `WaveletSqueezeExcitation` is the same with a wavelet
    instead of ReLU.

    Args:
        ratio: Divides the channels. Default: 4, as in the wavelet attentions;
            Hu et al. use 16.
        activation: Between W1 and W2. Default: `"relu"`.
        use_bias: Whether biases are added after W1 and W2. Default: `False`.
        **kwargs: Those of `Gate`, as for `ChannelAttention`.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        The input's.

    Raises:
        ValueError: As for `ChannelAttention`.

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
        **kwargs: Any,
    ) -> None:
        super().__init__(ratio, True, activation, use_bias, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["shared"]
        return config
