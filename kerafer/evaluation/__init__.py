"""Evaluation: scores, intervals, comparisons and reports."""

from kerafer.evaluation.bootstrap import Interval, bootstrap_intervals
from kerafer.evaluation.calibration import (
    expected_calibration_error,
    reliability,
)
from kerafer.evaluation.classification import (
    Classification,
    classify,
    surest_mistakes,
)
from kerafer.evaluation.comparison import Comparison, compare
from kerafer.evaluation.complexity import Complexity, complexity
from kerafer.evaluation.predictions import Predictions
from kerafer.evaluation.scores import Scores, score

__all__ = [
    "Classification",
    "Comparison",
    "Complexity",
    "Interval",
    "Predictions",
    "Scores",
    "bootstrap_intervals",
    "classify",
    "compare",
    "complexity",
    "expected_calibration_error",
    "reliability",
    "score",
    "surest_mistakes",
]
