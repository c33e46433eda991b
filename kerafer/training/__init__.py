"""From pictures and a model to a trained model."""
