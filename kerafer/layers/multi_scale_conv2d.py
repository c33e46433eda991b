"""Convolutions of several kernel sizes side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import (
    Shape,
    divided,
    fresh,
    get_settings,
    odd_int,
    one_of,
    per_branch,
    positive_int,
    set_objects,
)
from kerafer.layers.image_layer import ImageLayer


@keras.saving.register_keras_serializable(package="kerafer")
class MultiScaleConv2D(ImageLayer):
    """Convolve with kernels of several sizes and concatenate (MsC).

    With branches `n = 1 ... N` of kernel size `k_n` and dilation `d_n`:

        output = activation(concat_n(conv(inputs, kernel_n, strides)) + bias)

    Each branch is padded by `d_n * (k_n - 1) / 2` on **each** side (`k_n // 2`
    without dilation), so that all branches have the same centres and output
    size. With strides above 1 this differs from `padding="same"` in
    `keras.layers.Conv2D`, which pads less, and more on the right; it is
    `padding=k // 2` in PyTorch, with which the article counts.

    Args:
        filters: Output channels of each branch. The layer has
            `len(kernel_sizes) * filters`.
        kernel_sizes: One odd kernel size per branch. Default: `(3, 5, 7)`.
        strides: Step of all branches, one integer or (height, width).
            Default: 1.
        padding: `"same"`, as above, or `"valid"`: no padding for the widest
            branch, the others centred in it. Default: `"same"`.
        data_format: `"channels_last"` or `"channels_first"`. Default: the
            setting of Keras.
        dilation_rates: One dilation per branch. Default: 1 for all.
        activation: Applied after the bias. Default: none.
        use_bias: Whether a bias is added. Default: `True`.
        kernel_initializer: Of each branch. Default: `"glorot_uniform"`.
        bias_initializer: Default: `"zeros"`.
        kernel_regularizer, bias_regularizer, activity_regularizer,
        kernel_constraint, bias_constraint: As in `keras.layers.Conv2D`; those
            of the kernel act on each branch alone. Default: none.
        fused: Whether all branches are computed as one convolution with
            zero-padded kernels, or each branch separately. Weights and
            outputs are the same. Default: fused, except in training on JAX and
            with dilation. `docs/results/stem.csv` has the measurements.
        groups: Divides each branch's convolution: each group uses its own
            input channels for its own filters. The number of input channels
            makes it depthwise. Default: 1.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        `(batch, new_height, new_width, len(kernel_sizes) * filters)`, where
        the new size is `(size - 1) // strides + 1` for `"same"`.

    Raises:
        ValueError: If a kernel size is even, a size, stride or number is below
            1, lists differ in length, the number of channels is undefined, or
            groups do not divide the filters or the channels.

    Example:
        >>> layer = MultiScaleConv2D(64, strides=4, activation="relu")
        >>> keras.ops.shape(layer(keras.random.uniform((1, 224, 224, 3))))
        (1, 56, 56, 192)

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025), "Forward propagation
        of the MsC layer", equations 1 and 2.
    """

    def __init__(
        self,
        filters: int,
        kernel_sizes: Sequence[int] = (3, 5, 7),
        strides: int | Sequence[int] = 1,
        padding: str = "same",
        data_format: str | None = None,
        dilation_rates: Sequence[int] | None = None,
        activation: str | Callable | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        fused: bool | None = None,
        groups: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            data_format, activity_regularizer=activity_regularizer, **kwargs
        )
        self.filters = positive_int("filters", filters)
        self.kernel_sizes = per_branch("kernel_sizes", kernel_sizes)
        for size in self.kernel_sizes:
            odd_int("kernel_sizes", size)
        if isinstance(strides, int):
            strides = (strides, strides)
        self.strides = per_branch("strides", strides, length=2)
        self.padding = one_of("padding", padding, ("same", "valid"))
        if dilation_rates is None:
            dilation_rates = (1,) * len(self.kernel_sizes)
        self.dilation_rates = per_branch(
            "dilation_rates", dilation_rates, length=len(self.kernel_sizes)
        )
        self.use_bias = use_bias
        set_objects(
            self,
            activation=activation,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )
        self.fused = fused
        self.groups = positive_int("groups", groups)
        divided("groups", self.groups, "filters", self.filters)
        self._constant_kernel: Any = None

    @property
    def _extents(self) -> tuple[int, ...]:
        """Pixels from the first to the last tap of each branch."""
        return tuple(
            rate * (size - 1) + 1
            for size, rate in zip(
                self.kernel_sizes, self.dilation_rates, strict=True
            )
        )

    def build(self, input_shape: Shape) -> None:
        channels = self._channels(input_shape)
        seen = divided("groups", self.groups, "channels", channels)
        self.kernels = [
            self.add_weight(
                name=f"kernel_{index}_{size}x{size}",
                shape=(size, size, seen, self.filters),
                initializer=fresh(self.kernel_initializer),
                regularizer=self.kernel_regularizer,
                constraint=self.kernel_constraint,
            )
            for index, size in enumerate(self.kernel_sizes)
        ]
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.filters * len(self.kernel_sizes),),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = keras.layers.InputSpec(
            ndim=4, axes={self._channel_axis: channels}
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if self.padding == "valid":
            # TensorFlow would return an image without pixels.
            self.compute_output_shape(tuple(inputs.shape))
        inputs = self._channels_last(inputs)
        fused = self.fused
        if fused is None:
            fused = self._fuses_by_default(training)
        outputs = self._one(inputs) if fused else self._each(inputs)
        if self.use_bias:
            outputs = ops.add(outputs, self.bias)
        return self._restored(self.activation(outputs))

    def _fuses_by_default(self, training: bool | None) -> bool:
        # Zeros between dilated taps make the fused kernel mostly empty.
        if max(self.dilation_rates) > 1:
            return False
        # JAX computes the gradient of the branches faster.
        return not (training and keras.backend.backend() == "jax")

    def _each(self, inputs: Any) -> Any:
        """Convolve with each branch, and concatenate."""
        widest = max(self._extents)
        outputs = []
        for kernel, extent, rate in zip(
            self.kernels, self._extents, self.dilation_rates, strict=True
        ):
            same = self.padding == "same"
            aligned = _pad(
                inputs, extent // 2 if same else (extent - widest) // 2
            )
            if max(self.strides) > 1:
                # No backend supports stride and dilation together.
                kernel, rate = _dilate(ops.convert_to_tensor(kernel), rate), 1
            if self.groups == 1:
                parts = [(aligned, kernel)]
            else:
                # A grouped convolution of TensorFlow has no gradient on a CPU,
                # and the workaround of Keras takes twenty times as long.
                parts = list(
                    zip(
                        ops.split(aligned, self.groups, axis=-1),
                        ops.split(kernel, self.groups, axis=-1),
                        strict=True,
                    )
                )
            outputs += [
                self._convolve(part, weights, rate) for part, weights in parts
            ]
        return ops.concatenate(outputs, axis=-1)

    def _one(self, inputs: Any) -> Any:
        """Convolve with all branches at once."""
        if self.padding == "same":
            inputs = _pad(inputs, max(self._extents) // 2)
        kernel = self._constant_kernel
        if kernel is None:
            kernel = self.fused_kernel()
        return self._convolve(inputs, kernel)

    def _convolve(
        self, inputs: Any, kernel: Any, dilation_rate: int = 1
    ) -> Any:
        return ops.conv(
            inputs,
            kernel,
            strides=self.strides,
            padding="valid",
            data_format="channels_last",
            dilation_rate=dilation_rate,
        )

    def fused_kernel(self) -> Any:
        """Compute the one kernel that is equivalent to all branches.

        Returns:
            Tensor of shape `(extent, extent, channels, branches * filters)`,
            where `extent` is that of the widest branch. The other branches are
            padded with zeros around their centre. With groups, it has zeros
            for the channels that a filter does not see.
        """
        widest = max(self._extents)
        kernels = []
        for kernel, extent, rate in zip(
            self.kernels, self._extents, self.dilation_rates, strict=True
        ):
            margin = (widest - extent) // 2
            kernel = _dilate(ops.convert_to_tensor(kernel), rate)
            kernel = ops.pad(kernel, ((margin, margin),) * 2 + ((0, 0), (0, 0)))
            kernels.append(_ungroup(kernel, self.groups))
        return ops.concatenate(kernels, axis=-1)

    def set_export(self, form: str | None) -> None:
        """Compute the fused kernel beforehand, from here on.

        Converters do not fold a concatenation of this size.

        Args:
            form: `None` computes it from the kernels again.
        """
        self._constant_kernel = None
        if form is not None:
            self._constant_kernel = ops.convert_to_numpy(self.fused_kernel())

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        widest = max(self._extents)
        lost = 1 if self.padding == "same" else widest
        shape = list(input_shape)
        spatial = (1, 2) if self._channel_axis == -1 else (2, 3)
        for axis, stride in zip(spatial, self.strides, strict=True):
            if (side := shape[axis]) is not None:
                shape[axis] = side = (side - lost) // stride + 1
                if side < 1:
                    raise ValueError(
                        f"The input must be at least {widest} pixels high and "
                        "wide for this padding. "
                        f"Received: input_shape={input_shape}"
                    )
        shape[self._channel_axis] = self.filters * len(self.kernel_sizes)
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | get_settings(
            self,
            "filters",
            "kernel_sizes",
            "strides",
            "padding",
            "dilation_rates",
            "activation",
            "use_bias",
            "kernel_initializer",
            "bias_initializer",
            "kernel_regularizer",
            "bias_regularizer",
            "activity_regularizer",
            "kernel_constraint",
            "bias_constraint",
            "fused",
            "groups",
        )


def _pad(inputs: Any, margin: int) -> Any:
    """Pad images with zeros on each side, or crop them."""
    if margin > 0:
        return ops.pad(inputs, ((0, 0), (margin,) * 2, (margin,) * 2, (0, 0)))
    return inputs[:, -margin:margin, -margin:margin] if margin else inputs


def _dilate(kernel: Any, rate: int) -> Any:
    """Put `rate - 1` zeros between the taps of a kernel."""
    if rate == 1:
        return kernel
    height, width, channels, filters = kernel.shape
    kernel = ops.reshape(kernel, (height, 1, width, 1, channels, filters))
    gaps = (0, rate - 1)
    kernel = ops.pad(kernel, ((0, 0), gaps, (0, 0), gaps, (0, 0), (0, 0)))
    kernel = ops.reshape(
        kernel, (height * rate, width * rate, channels, filters)
    )
    return kernel[: rate * (height - 1) + 1, : rate * (width - 1) + 1]


def _ungroup(kernel: Any, groups: int) -> Any:
    """Add zeros to a grouped kernel for the channels of the other groups."""
    if groups == 1:
        return kernel
    channels = kernel.shape[-2]
    parts = ops.split(kernel, groups, axis=-1)
    whole = []
    for group, part in enumerate(parts):
        around = (group * channels, (groups - 1 - group) * channels)
        whole.append(ops.pad(part, ((0, 0), (0, 0), around, (0, 0))))
    return ops.concatenate(whole, axis=-1)
