"""Layers computed by NumPy, and counts from shapes, to compare with."""

import math

import keras
import numpy as np

from kerafer.layers import (
    ConvolutionalBlockAttention,
    CoordinateAttention,
    DualDirectionHead,
    SqueezeExcitation,
)


def draw_weights(holder, seed=8):
    """Random weights, and positive ones where they are variances."""
    rng = np.random.default_rng(seed)
    holder.set_weights(
        [
            rng.uniform(0.5, 2, w.shape)
            if w.name == "moving_variance"
            else rng.normal(size=w.shape)
            for w in holder.weights
        ]
    )
    return holder


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def hard_swish(x):
    return x * np.clip(x + 3, 0, 6) / 6


def normalized(x, layer, of_the_batch=False):
    gamma, beta, mean, variance = layer.get_weights()
    if of_the_batch:
        axes = tuple(range(x.ndim - 1))
        mean, variance = x.mean(axes), x.var(axes)
    return gamma * (x - mean) / np.sqrt(variance + 1e-5) + beta


def windows(x, kernel, strides, rate):
    """Sliding windows over `x`, padded by half the kernel on each side."""
    extents = [(n - 1) * rate + 1 for n in kernel.shape[:2]]
    around = [(extent // 2,) * 2 for extent in extents]
    return np.lib.stride_tricks.sliding_window_view(
        np.pad(x, ((0, 0), *around, (0, 0))), extents, axis=(1, 2)
    )[:, ::strides, ::strides, :, ::rate, ::rate]


def convolution(x, kernel, strides=1, rate=1, groups=1):
    """Cross-correlation; every group sees its own channels."""
    kernels = np.split(np.asarray(kernel), groups, -1)
    outputs = [
        np.einsum("bijcuv,uvco->bijo", windows(part, k, strides, rate), k)
        for part, k in zip(np.split(x, groups, -1), kernels, strict=True)
    ]
    return np.concatenate(outputs, axis=-1)


def convolved(x, layer, strides=1, rate=1):
    bias = 0 if layer.bias is None else np.array(layer.bias)
    return convolution(x, layer.kernel, strides, rate) + bias


def depthwise(x, layer, strides=1):
    kernel = np.array(layer.kernel)
    outputs = np.einsum(
        "bijcuv,uvcm->bijcm", windows(x, kernel, strides, 1), kernel
    )
    return outputs.reshape(*outputs.shape[:3], -1)


def trainable(model):
    return sum(math.prod(w.shape) for w in model.trainable_weights)


def multiply_adds(model):
    """Of convolutions and dense layers, from shapes alone."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            outputs = math.prod(layer.output.shape[1:])
            total += outputs * math.prod(layer.kernel_size)
        elif isinstance(layer, keras.layers.Conv2D):
            outputs = math.prod(layer.output.shape[1:])
            channels = layer.input.shape[-1]
            total += outputs * channels * math.prod(layer.kernel_size)
        elif isinstance(layer, keras.layers.Dense):
            total += layer.input.shape[-1] * layer.units
        elif isinstance(layer, SqueezeExcitation):
            total += 2 * layer.input.shape[-1] ** 2 // layer.ratio
        elif isinstance(layer, ConvolutionalBlockAttention):
            _, height, width, channels = layer.input.shape
            # Two pools through two dense layers; a 7x7 kernel on two maps.
            total += 2 * 2 * channels * (channels // layer.ratio)
            total += height * width * 2 * 7 * 7
        elif isinstance(layer, CoordinateAttention | DualDirectionHead):
            _, height, width, channels = layer.input.shape
            reduced = max(8, channels // layer.ratio)
            total += 2 * (height + width) * channels * reduced
            if isinstance(layer, DualDirectionHead):
                total += 2 * height * width * channels
        else:
            kernels = [w for w in layer.weights if len(w.shape) > 1]
            assert isinstance(layer, keras.layers.PReLU) or not kernels, layer
    return total
