"""Faster TensorFlow kernels for Adam, BatchNorm and Dense.

On a processor, the time of a step depends on how often memory is read. On
other backends these are Keras' own.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

# Smaller kernels of a Dense stay in the processor's cache.
_LARGE = 2**20


class FusedAdam(keras.optimizers.Adam):
    """Adam in one TensorFlow kernel.

    Keras' Adam is a dozen operations that each read all weights. For the
    57.7 M weights of `wca_mcnn` at 224 pixels the kernel saves a twentieth of
    a training step, for its 21 M at 64 pixels a seventh. Results are the same;
    with `weight_decay` those of AdamW.
    """

    def update_step(
        self, gradient: Any, variable: Any, learning_rate: Any
    ) -> None:
        if self.amsgrad or not _has_kernel(gradient):
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        index = self._get_variable_index(variable)
        dtype = variable.dtype
        step = ops.cast(self.iterations + 1, dtype)
        beta_1, beta_2 = (
            ops.cast(beta, dtype) for beta in (self.beta_1, self.beta_2)
        )
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=ops.power(beta_1, step),
            beta2_power=ops.power(beta_2, step),
            lr=ops.cast(learning_rate, dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=ops.cast(self.epsilon, dtype),
            grad=ops.cast(gradient, dtype),
        )


def _has_kernel(gradient: Any) -> bool:
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return isinstance(gradient, tf.Tensor) and not tf.distribute.has_strategy()


class FusedNormalization(keras.layers.Layer):
    """Train a `BatchNormalization` with one TensorFlow kernel.

    It takes a third of the time of Keras' separate operations, which is a
    sixth of a training step of `kerafer_edge`, a tenth of
    `msc_wca_resnet18`'s.

    Args:
        layer: Built; see `fits`. Its weights are used.
    """

    def __init__(self, layer: keras.layers.BatchNormalization) -> None:
        super().__init__(dtype=layer.dtype_policy, name=f"{layer.name}_fused")
        self.layer = layer

    @staticmethod
    def fits(layer: keras.layers.Layer) -> bool:
        """Whether the kernel computes the same as this layer."""
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
        # The kernel's variance is the unbiased one, Keras' is not.
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], variance.dtype)
        variance = variance * (count - 1.0) / count
        for average, value in (
            (layer.moving_mean, mean),
            (layer.moving_variance, variance),
        ):
            momentum = layer.momentum
            average.assign(average * momentum + value * (1.0 - momentum))
        return outputs


class TransposedDense(keras.layers.Layer):
    """Train a large `Dense` with a faster gradient of its inputs.

    oneDNN computes `kernel @ gradients.T` in a quarter of the time of
    `gradients @ kernel.T`, which is its transpose. This saves a twentieth of a
    training step of `wca_mcnn`.

    Args:
        layer: Built; see `fits`. Its weights are used.
    """

    def __init__(self, layer: keras.layers.Dense) -> None:
        super().__init__(dtype=layer.dtype_policy, name=f"{layer.name}_fused")
        self.layer = layer
        self.supports_masking = True

    @staticmethod
    def fits(layer: keras.layers.Layer) -> bool:
        """Whether the gradient of this layer is the same, and faster."""
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
    """Replace layers of a functional model where a faster kernel fits.

    The new model shares the weights. Without such layers it is `model`.
    """

    if not any(_faster(layer) for layer in model.layers):
        return model

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = _faster(layer)
        return layer if kind is None else kind(layer)

    return keras.models.clone_model(model, clone_function=clone)


def _faster(
    layer: keras.layers.Layer,
) -> type[FusedNormalization | TransposedDense] | None:
    if FusedNormalization.fits(layer):
        return FusedNormalization
    return TransposedDense if TransposedDense.fits(layer) else None
