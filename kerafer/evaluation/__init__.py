"""Evaluation: scores, intervals, comparisons and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kerafer.lazy import lazy_names

if TYPE_CHECKING:
    from kerafer.evaluation.bootstrap import Interval as Interval
    from kerafer.evaluation.bootstrap import (
        bootstrap_intervals as bootstrap_intervals,
    )
    from kerafer.evaluation.calibration import (
        expected_calibration_error as expected_calibration_error,
    )
    from kerafer.evaluation.calibration import reliability as reliability
    from kerafer.evaluation.classification import (
        Classification as Classification,
    )
    from kerafer.evaluation.classification import classify as classify
    from kerafer.evaluation.classification import (
        surest_mistakes as surest_mistakes,
    )
    from kerafer.evaluation.comparison import Comparison as Comparison
    from kerafer.evaluation.comparison import compare as compare
    from kerafer.evaluation.model_cost import Complexity as Complexity
    from kerafer.evaluation.model_cost import complexity as complexity
    from kerafer.evaluation.predictions import Predictions as Predictions
    from kerafer.evaluation.scores import Scores as Scores
    from kerafer.evaluation.scores import score as score

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "Classification": "kerafer.evaluation.classification",
        "Comparison": "kerafer.evaluation.comparison",
        "Complexity": "kerafer.evaluation.model_cost",
        "Interval": "kerafer.evaluation.bootstrap",
        "Predictions": "kerafer.evaluation.predictions",
        "Scores": "kerafer.evaluation.scores",
        "bootstrap_intervals": "kerafer.evaluation.bootstrap",
        "classify": "kerafer.evaluation.classification",
        "compare": "kerafer.evaluation.comparison",
        "complexity": "kerafer.evaluation.model_cost",
        "expected_calibration_error": "kerafer.evaluation.calibration",
        "reliability": "kerafer.evaluation.calibration",
        "score": "kerafer.evaluation.scores",
        "surest_mistakes": "kerafer.evaluation.classification",
    },
)
