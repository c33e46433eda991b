"""What the two wavelet attentions have in common."""

from __future__ import annotations

from typing import Any

from kerafer.layers.arguments import Shape
from kerafer.layers.bottleneck_gate import BottleneckGate
from kerafer.layers.morlet import Morlet


class WaveletGate(BottleneckGate):
    """A bottleneck gate whose activation is a wavelet, one for each set of
    weights.

    Args:
        wavelet, center_frequency, per_channel, trainable_wavelet: Those of
            `WaveletChannelAttention`.
        **kwargs: Those of `BottleneckGate`.
    """

    def __init__(
        self,
        wavelet: str,
        center_frequency: float,
        per_channel: bool,
        trainable_wavelet: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(activation=None, use_bias=False, **kwargs)
        self.wavelet = wavelet
        self.center_frequency = center_frequency
        self.per_channel = per_channel
        self.trainable_wavelet = trainable_wavelet
        self.wavelets = [
            Morlet(
                center_frequency=center_frequency,
                per_channel=per_channel,
                wavelet=wavelet,
                trainable_wavelet=trainable_wavelet,
                dtype=self.gate_dtype,
                name=f"psi_{'_'.join(names)}",
            )
            for names in self._branches
        ]

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        for wavelet, kernel in zip(
            self.wavelets, self.reduce_kernels, strict=True
        ):
            wavelet.build((None, kernel.shape[-1]))

    def hidden(self, values: Any, branch: int) -> Any:
        return self.wavelets[branch](values)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "wavelet": self.wavelet,
            "center_frequency": self.center_frequency,
            "per_channel": self.per_channel,
            "trainable_wavelet": self.trainable_wavelet,
        }
