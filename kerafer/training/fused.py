"""Adam, BatchNorm and Dense by the kernels of TensorFlow that gain.

On a processor a step is as long as memory is passed over; on other backends
these are Keras' own.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

# Weights of a Dense; what is smaller stays in the processor's cache.
_LARGE = 2**20


class FusedAdam(keras.optimizers.Adam):
    """Adam by TensorFlow's one kernel for it.

    Keras computes the step in a dozen operations, each of which reads and
    writes as much memory as there are weights. For the 57.7 M weights of
    `wca_mcnn` at 224 pixels the kernel saves about a twentieth of a training
    step, for its 21 M at 64 pixels a seventh. The numbers are Keras'; with
    `weight_decay` they are those of `keras.optimizers.AdamW`.
    """

    def update_step(
        self, gradient: Any, variable: Any, learning_rate: Any
    ) -> None:
        if not self._has_kernel(gradient):
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        index = self._get_variable_index(variable)
        dtype = variable.dtype
        step = ops.cast(self.iterations + 1, dtype)
        first, second = (
            ops.cast(beta, dtype) for beta in (self.beta_1, self.beta_2)
        )
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=ops.power(first, step),
            beta2_power=ops.power(second, step),
            lr=ops.cast(learning_rate, dtype),
            beta1=first,
            beta2=second,
            epsilon=ops.cast(self.epsilon, dtype),
            grad=ops.cast(gradient, dtype),
        )

    def _has_kernel(self, gradient: Any) -> bool:
        """Whether the kernel can do it: TensorFlow, one replica, dense."""
        if keras.backend.backend() != "tensorflow" or self.amsgrad:
            return False
        import tensorflow as tf

        return (
            isinstance(gradient, tf.Tensor) and not tf.distribute.has_strategy()
        )


class FusedNormalization(keras.layers.Layer):
    """Computes what a `BatchNormalization` does, and trains its weights.

    Keras computes mean, variance, scaling and their gradients in separate
    operations, each of which reads and writes the whole map. TensorFlow's
    kernel gives the same numbers in a third of the time: a sixth of a training
    step of `kerafer_edge`, a tenth of `msc_wca_resnet18`'s.

    Args:
        layer: Whose weights it has, built. `fits` says which ones it takes.
    """

    def __init__(self, layer: keras.layers.BatchNormalization) -> None:
        super().__init__(dtype=layer.dtype_policy, name=f"{layer.name}_fused")
        self.layer = layer

    @staticmethod
    def fits(layer: keras.layers.Layer) -> bool:
        """Whether the kernel computes what this layer does."""
        return (
            keras.backend.backend() == "tensorflow"
            and type(layer) is keras.layers.BatchNormalization
            and layer.built
            and layer.axis in (-1, 3)
            and layer.input_spec.ndim == 4
            and layer.center
            and layer.scale
            and not layer.synchronized
            and layer.compute_dtype != "float16"
        )

    def call(
        self, inputs: Any, training: bool | None = None, mask: Any = None
    ) -> Any:
        layer = self.layer
        if mask is not None or not (training and layer.trainable):
            return layer(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(layer.gamma),
            offset=tf.convert_to_tensor(layer.beta),
            mean=[],
            variance=[],
            epsilon=layer.epsilon,
            is_training=True,
        )
        # The kernel divides the squares by one less than there are values.
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], variance.dtype)
        _approach(layer.moving_mean, mean, layer.momentum)
        _approach(
            layer.moving_variance,
            variance * (count - 1.0) / count,
            layer.momentum,
        )
        return outputs


def _approach(average: Any, value: Any, momentum: float) -> None:
    average.assign(average * momentum + value * (1.0 - momentum))


class TransposedDense(keras.layers.Layer):
    """Computes what a `Dense` does, and trains its weights.

    The gradient of the inputs is the transpose of `kernel @ gradients.T`
    here, in place of `gradients @ kernel.T`. Few rows times a large transposed
    kernel, in float32, take oneDNN four times as long as the kernel as it
    lies; the numbers are the same. It is a twentieth of a training step of
    `wca_mcnn`.

    Args:
        layer: Whose weights it has, built. `fits` says which ones it takes.
    """

    def __init__(self, layer: keras.layers.Dense) -> None:
        super().__init__(dtype=layer.dtype_policy, name=f"{layer.name}_fused")
        self.layer = layer
        self.supports_masking = True

    @staticmethod
    def fits(layer: keras.layers.Layer) -> bool:
        """Whether the gradient is computed in less time."""
        return (
            keras.backend.backend() == "tensorflow"
            and type(layer) is keras.layers.Dense
            and layer.built
            and layer.compute_dtype == "float32"
            and not layer.lora_enabled
            and layer.quantization_mode is None
            and layer.activity_regularizer is None
            and math.prod(layer.kernel.shape) >= _LARGE
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        layer = self.layer
        if not training or len(inputs.shape) != 2:
            return layer(inputs, training=training)
        import tensorflow as tf

        @tf.custom_gradient
        def product(x: Any, kernel: Any) -> tuple[Any, Any]:
            def gradients(upstream: Any) -> tuple[Any, Any]:
                of_inputs = tf.matmul(kernel, upstream, transpose_b=True)
                of_kernel = tf.matmul(x, upstream, transpose_a=True)
                return tf.transpose(of_inputs), of_kernel

            return tf.matmul(x, kernel), gradients

        outputs = product(inputs, tf.convert_to_tensor(layer.kernel))
        if layer.bias is not None:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(layer.bias))
        return layer.activation(outputs)


def with_fused_layers(model: keras.Model) -> keras.Model:
    """The same functional model, of the same layers and weights, that trains
    each BatchNorm and Dense by the faster kernels where they fit."""
    if not any(_fused_kind(layer) for layer in model.layers):
        return model

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = _fused_kind(layer)
        return layer if kind is None else kind(layer)

    return keras.models.clone_model(model, clone_function=clone)


def _fused_kind(
    layer: keras.layers.Layer,
) -> type[FusedNormalization] | type[TransposedDense] | None:
    for kind in (FusedNormalization, TransposedDense):
        if kind.fits(layer):
            return kind
    return None
