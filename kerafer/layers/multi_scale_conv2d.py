"""Convolutions of several kernel sizes side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from kerafer.layers.arguments import (
    Shape,
    image_data_format,
    per_branch,
    positive_int,
)


@keras.saving.register_keras_serializable(package="kerafer")
class MultiScaleConv2D(keras.layers.Layer):
    """Convolves with kernels of several sizes and concatenates the outputs.

    With branches `n = 1 ... N` of kernel size `k_n` and dilation `d_n`:

        output = activation(concat_n(conv(inputs, kernel_n, strides)) + bias)

    Every branch is padded by `d_n * (k_n - 1) / 2` on **each** side
    (`k_n // 2` without dilation), so all of them look at the same centres and
    have the same output size. At strides above 1 this is not what
    `padding="same"` means in `keras.layers.Conv2D`, which pads less and more
    on the right; it is PyTorch's `padding=k // 2`, which the article counts
    with.

    Args:
        filters: Output channels of each branch; the layer has
            `len(kernel_sizes) * filters`.
        kernel_sizes: One odd kernel size a branch. Defaults to `(3, 5, 7)`.
        strides: Step of all branches, one integer or (height, width).
            Defaults to 1.
        padding: `"same"`, as above, or `"valid"`: no padding for the widest
            branch, the others centred in it. Defaults to `"same"`.
        data_format: `"channels_last"` or `"channels_first"`. Defaults to
            Keras' setting.
        dilation_rates: One dilation a branch. Defaults to 1 for all.
        activation: Applied to the sum with the bias. Defaults to none.
        use_bias: Whether a bias is added. Defaults to `True`.
        kernel_initializer: For every branch. Defaults to `"glorot_uniform"`.
        bias_initializer: Defaults to `"zeros"`.
        kernel_regularizer, bias_regularizer, activity_regularizer,
        kernel_constraint, bias_constraint: As in `keras.layers.Conv2D`; those
            of the kernel act on each branch alone.
        fused: Whether the branches are computed as one convolution whose
            kernel is put together from the zero-padded kernels of the
            branches, or each alone. The numbers are the same, the weights
            too. Defaults to what was measured to be faster; see
            `docs/results/stem.csv`.
        groups: Every branch's convolution is cut into as many, each of its
            own part of the input channels and for its own part of the
            filters; the number of input channels makes it depthwise. Defaults
            to 1.

    Input shape:
        `(batch, height, width, channels)` for `"channels_last"`.

    Output shape:
        `(batch, new_height, new_width, len(kernel_sizes) * filters)`, where
        the new size is `(size - 1) // strides + 1` for `"same"`.

    Raises:
        ValueError: For an even kernel size, a size, stride or number below 1,
            lists of different length, an undefined number of channels, or
            groups that divide the filters or the channels not.

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
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = positive_int("filters", filters)
        self.kernel_sizes = per_branch("kernel_sizes", kernel_sizes)
        if any(size % 2 == 0 for size in self.kernel_sizes):
            raise ValueError(
                "Every one of `kernel_sizes` must be odd, so that the branches "
                f"share a centre. Received: kernel_sizes={kernel_sizes}"
            )
        if isinstance(strides, int):
            strides = (strides, strides)
        self.strides = per_branch("strides", strides, length=2)
        if padding not in ("same", "valid"):
            raise ValueError(
                '`padding` must be "same" or "valid". '
                f"Received: padding={padding!r}"
            )
        self.padding = padding
        self.data_format = image_data_format(data_format)
        if dilation_rates is None:
            dilation_rates = (1,) * len(self.kernel_sizes)
        self.dilation_rates = per_branch(
            "dilation_rates", dilation_rates, length=len(self.kernel_sizes)
        )
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.fused = fused
        self.groups = positive_int("groups", groups)
        if self.filters % self.groups:
            raise ValueError(
                "`groups` must divide `filters`. "
                f"Received: groups={groups}, filters={filters}"
            )
        self.input_spec = keras.layers.InputSpec(ndim=4)
        self._constant_kernel: Any = None

    @property
    def _channel_axis(self) -> int:
        return -1 if self.data_format == "channels_last" else 1

    @property
    def _extents(self) -> tuple[int, ...]:
        """Pixels from the first to the last tap of every branch."""
        return tuple(
            rate * (size - 1) + 1
            for size, rate in zip(
                self.kernel_sizes, self.dilation_rates, strict=True
            )
        )

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[self._channel_axis]
        if channels is None:
            raise ValueError(
                "The number of channels must be defined. "
                f"Received: input_shape={input_shape}"
            )
        if channels % self.groups:
            raise ValueError(
                "`groups` must divide the number of channels. "
                f"Received: groups={self.groups}, channels={channels}"
            )
        self.kernels = [
            self.add_weight(
                name=f"kernel_{index}_{size}x{size}",
                shape=(size, size, channels // self.groups, self.filters),
                initializer=self._fresh(self.kernel_initializer),
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

    @staticmethod
    def _fresh(initializer: Any) -> Any:
        # One initialiser object used twice draws the same numbers twice.
        if isinstance(initializer, keras.initializers.Initializer):
            return initializer.clone()
        return initializer

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if self.padding == "valid":
            # TensorFlow would give an image of no pixels.
            self.compute_output_shape(tuple(inputs.shape))
        # TensorFlow's processor kernels know channels_last alone.
        if self.data_format == "channels_first":
            inputs = ops.transpose(inputs, (0, 2, 3, 1))
        fused = self.fused
        if fused is None:
            fused = self._fuses_by_default(training)
        outputs = self._one(inputs) if fused else self._each(inputs)
        if self.use_bias:
            outputs = ops.add(outputs, self.bias)
        outputs = self.activation(outputs)
        if self.data_format == "channels_first":
            outputs = ops.transpose(outputs, (0, 3, 1, 2))
        return outputs

    def _fuses_by_default(self, training: bool | None) -> bool:
        # Zeros between dilated taps make the fused kernel mostly empty.
        if max(self.dilation_rates) > 1:
            return False
        # JAX's compiler has the faster gradient for the branches.
        return not (training and keras.backend.backend() == "jax")

    def _each(self, inputs: Any) -> Any:
        """All branches, a convolution each."""
        widest = max(self._extents)
        outputs = []
        for kernel, extent, rate in zip(
            self.kernels, self._extents, self.dilation_rates, strict=True
        ):
            if self.padding == "same":
                aligned = _pad(inputs, extent // 2)
            else:
                aligned = _crop(inputs, (widest - extent) // 2)
            if max(self.strides) > 1:
                # No backend convolves with a stride and a dilation at once.
                kernel, rate = _spread(ops.convert_to_tensor(kernel), rate), 1
            outputs += self._convolve(aligned, kernel, rate)
        return ops.concatenate(outputs, axis=-1)

    def _one(self, inputs: Any) -> Any:
        """All branches in one convolution."""
        if self.padding == "same":
            inputs = _pad(inputs, max(self._extents) // 2)
        if self.groups == 1:
            kernel = self._constant_kernel
            if kernel is None:
                kernel = self.fused_kernel()
            return self._convolve(inputs, kernel)[0]
        kernels = self._aligned_kernels()
        parts = [ops.split(kernel, self.groups, axis=-1) for kernel in kernels]
        # A group's part of every branch, one group behind the other.
        kernel = ops.concatenate(
            [part for group in zip(*parts, strict=True) for part in group],
            axis=-1,
        )
        outputs = [
            ops.split(output, len(kernels), axis=-1)
            for output in self._convolve(inputs, kernel)
        ]
        return ops.concatenate(
            [part for branch in zip(*outputs, strict=True) for part in branch],
            axis=-1,
        )

    def fused_kernel(self) -> Any:
        """The one kernel that computes all branches.

        Returns:
            Tensor of shape `(extent, extent, channels, branches * filters)`:
            `extent` is that of the widest branch; the others are padded with
            zeros around their centre. With groups, it has zeros for the
            channels that a filter does not see.
        """
        return ops.concatenate(
            [
                _ungrouped(kernel, self.groups)
                for kernel in self._aligned_kernels()
            ],
            axis=-1,
        )

    def set_export(self, form: str | None) -> None:
        """Put the fused kernel together beforehand, from here on.

        Converters fold no concatenation as large as this one.

        Args:
            form: `None` computes it from the kernels again.
        """
        self._constant_kernel = None
        if form is not None and self.groups == 1:
            self._constant_kernel = ops.convert_to_numpy(self.fused_kernel())

    def _aligned_kernels(self) -> list[Any]:
        """The branches' kernels with zeros around, all of one extent."""
        widest = max(self._extents)
        kernels = []
        for kernel, extent, rate in zip(
            self.kernels, self._extents, self.dilation_rates, strict=True
        ):
            margin = (widest - extent) // 2
            kernel = _spread(ops.convert_to_tensor(kernel), rate)
            kernels.append(
                ops.pad(kernel, ((margin, margin),) * 2 + ((0, 0), (0, 0)))
            )
        return kernels

    def _convolve(
        self, inputs: Any, kernel: Any, dilation_rate: int = 1
    ) -> list[Any]:
        """The outputs of every group."""
        if self.groups == 1:
            pairs = [(inputs, kernel)]
        else:
            # A grouped convolution of TensorFlow's own has no gradient on a
            # processor, and Keras' way around that takes twenty times as long.
            pairs = list(
                zip(
                    ops.split(inputs, self.groups, axis=-1),
                    ops.split(kernel, self.groups, axis=-1),
                    strict=True,
                )
            )
        return [
            ops.conv(
                part,
                weights,
                strides=self.strides,
                padding="valid",
                data_format="channels_last",
                dilation_rate=dilation_rate,
            )
            for part, weights in pairs
        ]

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
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_sizes": self.kernel_sizes,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rates": self.dilation_rates,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(
                self.kernel_initializer
            ),
            "bias_initializer": keras.initializers.serialize(
                self.bias_initializer
            ),
            "kernel_regularizer": keras.regularizers.serialize(
                self.kernel_regularizer
            ),
            "bias_regularizer": keras.regularizers.serialize(
                self.bias_regularizer
            ),
            "activity_regularizer": keras.regularizers.serialize(
                self.activity_regularizer
            ),
            "kernel_constraint": keras.constraints.serialize(
                self.kernel_constraint
            ),
            "bias_constraint": keras.constraints.serialize(
                self.bias_constraint
            ),
            "fused": self.fused,
            "groups": self.groups,
        }


def _pad(inputs: Any, margin: int) -> Any:
    if margin == 0:
        return inputs
    return ops.pad(inputs, ((0, 0), (margin,) * 2, (margin,) * 2, (0, 0)))


def _crop(inputs: Any, margin: int) -> Any:
    if margin == 0:
        return inputs
    return inputs[:, margin:-margin, margin:-margin]


def _spread(kernel: Any, rate: int) -> Any:
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


def _ungrouped(kernel: Any, groups: int) -> Any:
    """A grouped kernel with zeros for the channels of the other groups."""
    if groups == 1:
        return kernel
    channels = kernel.shape[-2]
    parts = ops.split(kernel, groups, axis=-1)
    whole = []
    for group, part in enumerate(parts):
        around = (group * channels, (groups - 1 - group) * channels)
        whole.append(ops.pad(part, ((0, 0), (0, 0), around, (0, 0))))
    return ops.concatenate(whole, axis=-1)
