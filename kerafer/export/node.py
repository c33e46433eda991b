"""One plain operation of an exported model."""

from __future__ import annotations

import dataclasses

import numpy as np

Margins = tuple[int, int, int, int]


@dataclasses.dataclass(eq=False)
class Node:
    """One operation.

    Args:
        kind: `input`; `convolution`, `depthwise`, `dense`, `norm`;
            `relu`, `relu6`, `prelu`, `hard_swish`, `sigmoid`, `softmax`,
            `wavelet`; `add`, `subtract`, `multiply`, `maximum`, all with
            broadcasting; `max_pool`, `average_pool`, `global_max`,
            `global_average`, `axis_max`, `axis_mean`; `pad`, `slice`,
            `concatenate`, `reshape`, `nearest` or `bilinear`.
        name: Unique in its graph.
        inputs: Whose results it takes.
        shape: Of its result, without the batch: `(height, width, channels)`
            or `(channels,)`.
        kernels: Of a convolution one `(height, width, in / groups, out)` for
            each branch, whose outputs are concatenated; of a depthwise one
            `(height, width, in, out / in)`; of a dense layer one `(in, out)`.
        bias: Added by a convolution, a dense layer or `norm`.
        factor: What `norm` multiplies with before, and `prelu` below 0.
        margins: Zeros at top, bottom, left and right, for each branch of a
            convolution, or for `pad`; for a pool what it does not count.
        strides: Of a convolution or pool.
        dilation: Of a convolution.
        size: Of a pool; how much larger `nearest` and `bilinear` make.
        axis: Of `axis_max` and `axis_mean`, which leave one place there, and
            of `concatenate`: 0 is the height, the last one the channels.
        start: The first place of `slice` along each axis.
        relu: Whether a convolution, dense layer or sum ends in a ReLU.
        wavelet, center_frequency: Of a wavelet.
    """

    kind: str
    name: str
    inputs: list[Node]
    shape: tuple[int, ...]
    kernels: list[np.ndarray] = dataclasses.field(default_factory=list)
    bias: np.ndarray | None = None
    factor: np.ndarray | None = None
    margins: list[Margins] = dataclasses.field(default_factory=list)
    strides: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    size: tuple[int, int] = (1, 1)
    axis: int = 0
    start: tuple[int, ...] = ()
    relu: bool = False
    wavelet: str = ""
    center_frequency: float = 0.0

    @property
    def extents(self) -> list[tuple[int, int]]:
        """Height and width that each kernel spans, dilated."""
        return [
            tuple(
                rate * (taps - 1) + 1
                for taps, rate in zip(kernel.shape, self.dilation, strict=False)
            )
            for kernel in self.kernels
        ]
