"""Mixing training pictures and their labels in pairs, by Keras' layers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import tensorflow as tf
from keras import layers

from kerafer.data.augmentation import StepSeed
from kerafer.errors import UserError

KINDS = ("none", "mixup", "cutmix", "both")

Mixing = Callable[
    [tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]
]


def make_mixing(kind: str, alpha: float = 0.2) -> Mixing | None:
    """A function of a batch and a seed that mixes each picture with another.

    Every picture keeps a share of itself and gets the rest from another one of
    the batch (or, by chance, from itself); its label is made of the two labels
    in the same shares. The share is drawn from Beta(alpha, alpha), for every
    picture anew.

    Args:
        kind: `"none"`; `"mixup"`: the pixels are averaged; `"cutmix"`: a
            rectangle comes from the other picture, whole; `"both"`: one of
            the two for each batch, each with probability 1/2.
        alpha: Of the Beta distribution: near 0 one of the pictures has almost
            all, at 1 every share is as likely, above 1 halves are likelier.
            Defaults to 0.2.

    Returns:
        A function for `tf.data` that takes pictures of shape `(batch, height,
        width, channels)`, one-hot labels of shape `(batch, classes)` and an
        integer seed of shape `(2,)`, and returns float32 pictures and float32
        labels of the same shapes; the same for the same seed. `None` for
        `"none"`.

    Raises:
        UserError: For another kind, or an `alpha` that is not above 0.

    Reference:
        Zhang et al., "mixup: Beyond Empirical Risk Minimization" (2018); Yun
        et al., "CutMix" (2019).
    """
    if kind not in KINDS:
        raise UserError(
            f"Mixing is one of {', '.join(KINDS)}. Received: {kind}."
        )
    if not 0 < alpha < math.inf:
        raise UserError(
            f"The alpha of mixing is more than 0. Received: {alpha}."
        )
    if kind == "none":
        return None
    mix_up = layers.MixUp(alpha=alpha, dtype="float32")
    cut_mix = layers.CutMix(dtype="float32")
    # Keras draws CutMix's alpha between these two. Only its constructor
    # refuses more than 1.
    cut_mix.factor = (alpha, alpha)

    @tf.autograph.experimental.do_not_convert
    def mix(
        images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        # Away from the numbers that the augmentation draws from this seed.
        seed = tf.random.experimental.stateless_fold_in(seed, 0)
        images = tf.cast(images, tf.float32)
        labels = tf.cast(labels, tf.float32)
        if kind == "mixup":
            return _apply(mix_up, images, labels, seed)
        if kind == "cutmix":
            return _apply(cut_mix, images, labels, seed)
        first = tf.random.stateless_uniform((), seed) < 0.5
        return tf.cond(
            first,
            functools.partial(_apply, mix_up, images, labels, seed),
            functools.partial(_apply, cut_mix, images, labels, seed),
        )

    return mix


def _apply(
    step: layers.MixUp | layers.CutMix,
    images: tf.Tensor,
    labels: tf.Tensor,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    # Under another backend's Keras, `tf.data` still is TensorFlow.
    step.backend.set_backend("tensorflow")
    try:
        drawn = step.get_random_transformation(
            images, training=True, seed=StepSeed(seed)
        )
        if "batch_masks" in drawn:
            # Keras takes the area of a rectangle whose edges are between
            # pixels, not the pixels that are replaced.
            replaced = tf.cast(drawn["batch_masks"], tf.float32)
            drawn["mix_weight"] = 1.0 - tf.reduce_mean(replaced, axis=(1, 2, 3))
        return (
            step.transform_images(images, drawn, training=True),
            step.transform_labels(labels, drawn, training=True),
        )
    finally:
        step.backend.reset()
