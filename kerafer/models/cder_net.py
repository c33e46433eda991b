"""CDERNet, a method that the article compares with."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from kerafer.models.ends import apply_classifier, apply_scaling
from kerafer.models.losses import ClassPairDivergence
from kerafer.models.objective import Classified, Objective, Outputs, plain
from kerafer.models.registry import register_model
from kerafer.models.resnet18 import apply_stages, apply_stem


def _pairs_together(classified: Classified) -> Objective:
    right, together = plain(classified).loss, ClassPairDivergence()

    def loss(labels: Any, outputs: Outputs, weights: Any) -> Any:
        divergence = together(labels, outputs["embedding"])
        return 0.3 * right(labels, outputs, weights) + 0.7 * divergence

    return Objective(loss, ("embedding",))


@register_model(objective=_pairs_together, made_for=(224, 224))
def cder_net(
    num_classes: int,
    input_shape: tuple[int, int, int],
) -> keras.Model:
    """CDERNet: ResNet18 with an embedding and three dense layers behind it.

    The 512 averages of ResNet18 become an embedding of 256 numbers, linear;
    dense layers of 128 and 32 with ReLU follow. Made for 224 x 224; the
    11,345,095 parameters (of colour images and 7 classes) are the same at
    any size.

    The authors begin with ResNet18's weights of ImageNet. This project has
    none: all weights are drawn, so scores from few images are lower than
    theirs.

    The published loss is cross-entropy plus
    `kerafer.models.losses.ClassPairDivergence` of the embedding, the output
    of the layer `embedding`.

    Args:
        num_classes: Outputs.
        input_shape: `(height, width, channels)`.

    Reference:
        Wang et al., IEEE Intelligent Transportation Systems Magazine (2023).
    """
    # === Functional Model ===
    inputs = keras.Input(input_shape, name="image")
    x = apply_stem(apply_scaling(inputs))
    x = apply_stages(x, (64, 128, 256, 512))
    x = layers.GlobalAveragePooling2D(name="average_pool")(x)
    x = layers.Dense(256, name="embedding")(x)
    for index, units in enumerate((128, 32), start=1):
        x = layers.Dense(
            units, kernel_initializer="he_normal", name=f"dense_{index}"
        )(x)
        x = layers.ReLU(name=f"dense_{index}_relu")(x)
    return keras.Model(
        inputs, apply_classifier(x, num_classes), name="cder_net"
    )
