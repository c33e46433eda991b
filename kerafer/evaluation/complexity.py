"""How large a model is and how much it computes, by a rule with a name."""

from __future__ import annotations

import math
from typing import NamedTuple

import keras

from kerafer.errors import UserError
from kerafer.evaluation.layer_costs import layer_cost

CONVENTIONS = ("paper", "macs", "flops")


class Complexity(NamedTuple):
    """Size and cost of a model for one image.

    Args:
        parameters: Trainable numbers.
        macs: Operations by the convention asked for.
    """

    parameters: int
    macs: int


def complexity(model: keras.Model, convention: str = "paper") -> Complexity:
    """Count the trainable parameters and the operations of a model.

    Args:
        model: A functional model with a defined input size.
        convention: `"paper"` is the counting of the article's Table 8:
            multiply-adds of convolutions and dense layers without bias, 4 for
            each output of a BatchNorm with scale and shift, and
            `height * width + 1` for each channel of a global average pooling
            (one along a row or a column alike: its numbers and 1; other
            average poolings add nothing, as maximum poolings do not);
            `"macs"` the multiply-adds of convolutions and dense layers alone;
            `"flops"` all floating-point operations: a multiply-add counts
            two, additions, comparisons and transcendental functions one.
            Defaults to `"paper"`.

    Returns:
        `(parameters, macs)`.

    Raises:
        UserError: For another convention, an undefined input size, or a layer
            whose cost is not known here.

    Example:
        >>> complexity(kerafer.create_model("mcnn"))
        Complexity(parameters=57640647, macs=1138450176)
    """
    if convention not in CONVENTIONS:
        raise UserError(
            f"The conventions are {', '.join(CONVENTIONS)}. "
            f"Received: {convention}."
        )
    if None in model.input_shape[1:]:
        raise UserError(
            "Operations are counted for a defined input size. "
            f"Received: {model.input_shape[1:]}."
        )
    costs = [layer_cost(layer) for layer in model.layers]
    operations = {
        "macs": sum(cost.macs for cost in costs),
        "paper": sum(cost.macs + cost.paper for cost in costs),
        "flops": sum(2 * cost.macs + cost.others for cost in costs),
    }[convention]
    return Complexity(trainable_parameters(model), operations)


def trainable_parameters(model: keras.Model) -> int:
    """How many numbers of a model are trained, which is the size we tell.

    What Keras counts has the moving statistics of BatchNorm too.
    """
    return sum(math.prod(v.shape) for v in model.trainable_variables)
