"""What a model costs and how well it answers."""

from kerafer.evaluation.bootstrap import Interval, bootstrap_intervals
from kerafer.evaluation.calibration import (
    expected_calibration_error,
    reliability,
)
from kerafer.evaluation.classification import Classification, classify
from kerafer.evaluation.comparison import Comparison, compare
from kerafer.evaluation.complexity import Complexity, complexity
from kerafer.evaluation.cross_validation import CrossValidation
from kerafer.evaluation.mistakes import surest_mistakes
from kerafer.evaluation.predictions import Predictions

__all__ = [
    "Classification",
    "Comparison",
    "Complexity",
    "CrossValidation",
    "Interval",
    "Predictions",
    "bootstrap_intervals",
    "classify",
    "compare",
    "complexity",
    "expected_calibration_error",
    "reliability",
    "surest_mistakes",
]
