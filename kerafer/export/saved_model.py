"""TensorFlow's SavedModel."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from kerafer.export.graph import Graph
from kerafer.export.module import Module


def saved_model(graph: Graph, folder: Path) -> None:
    """Write a graph as a SavedModel that needs nothing of this package.

    Its signature `serving_default` maps `image`, uint8 of shape
    `(batch, height, width, channels)`, to `probabilities`; any batch size.

    Args:
        graph: What is computed.
        folder: Is made.
    """
    module = Module(graph, "fused", batch=None)
    tf.saved_model.save(module, str(folder), signatures=module.function)
