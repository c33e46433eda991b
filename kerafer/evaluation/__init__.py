"""What a model costs and how well it answers."""

from kerafer.evaluation.complexity import Complexity, complexity

__all__ = ["Complexity", "complexity"]
