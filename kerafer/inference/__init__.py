"""Open models of any format for prediction.

    bundle = ModelBundle.load("runs/mine")
    probabilities = bundle.predict(images)

`ModelBundle` holds a model with its labels, input size and range, crop margin
and vote temperature. TensorFlow and Keras are imported only for `.keras` files
and SavedModels.
"""

from kerafer.inference.input_range import InputRange
from kerafer.inference.model_bundle import ModelBundle
from kerafer.inference.model_source import ModelSource

__all__ = ["InputRange", "ModelBundle", "ModelSource"]
