"""CDERNet, which the article compares with."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from kerafer.models.blocks import (
    apply_resnet_stem,
    apply_scaling,
    apply_stages,
    build_classifier,
)
from kerafer.models.losses import (
    ClassLoss,
    ClassPairDivergence,
    Objective,
    Outputs,
    plain,
)
from kerafer.models.registry import register_model


def _similar_pairs(class_loss: ClassLoss) -> Objective:
    entropy, divergence = plain(class_loss).loss, ClassPairDivergence()

    def loss(labels: Any, outputs: Outputs, weights: Any) -> Any:
        return 0.3 * entropy(labels, outputs, weights) + 0.7 * divergence(
            labels, outputs["embedding"]
        )

    return Objective(loss, ("embedding",))


@register_model(objective=_similar_pairs, recommended_size=(224, 224))
def cder_net(
    num_classes: int,
    input_shape: tuple[int, int, int],
) -> keras.Model:
    """Build CDERNet: ResNet18, an embedding and three dense layers.

    A linear layer maps the 512 averages of ResNet18 to an embedding of 256
    numbers. Dense layers of 128 and 32 with ReLU follow. Made for 224 x 224;
    the 11,345,095 parameters (colour images, 7 classes) are the same at any
    size.

    The authors start from ResNet18's ImageNet weights. This project has none:
    all weights are random, so scores from few images are lower than theirs.

    The published loss is cross-entropy plus
    `kerafer.models.losses.ClassPairDivergence` of the output of the layer
    `embedding`.

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.

    Reference:
        Wang et al., IEEE Intelligent Transportation Systems Magazine (2023).
    """
    inputs = keras.Input(input_shape, name="image")
    x = apply_resnet_stem(apply_scaling(inputs))
    x = apply_stages(x, (64, 128, 256, 512))
    x = layers.GlobalAveragePooling2D(name="average_pool")(x)
    x = layers.Dense(256, name="embedding")(x)
    for index, units in enumerate((128, 32), start=1):
        x = layers.Dense(
            units, kernel_initializer="he_normal", name=f"dense_{index}"
        )(x)
        x = layers.ReLU(name=f"dense_{index}_relu")(x)
    return build_classifier("cder_net", inputs, x, num_classes)
