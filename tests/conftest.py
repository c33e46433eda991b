"""TensorFlow the way the commands load it, before any test does."""

from kerafer.engine import load_tensorflow

load_tensorflow()
