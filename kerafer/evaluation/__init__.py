"""What a model costs and how well it answers."""

from kerafer.evaluation.classification import Classification, classify
from kerafer.evaluation.complexity import Complexity, complexity

__all__ = ["Classification", "Complexity", "classify", "complexity"]
