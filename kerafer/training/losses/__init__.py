"""Losses of the methods that the article compares with."""

from kerafer.training.losses.class_pair_divergence import ClassPairDivergence
from kerafer.training.losses.head_diversity import HeadDiversity

__all__ = ["ClassPairDivergence", "HeadDiversity"]
