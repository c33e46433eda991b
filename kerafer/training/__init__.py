"""From images and a model to a trained model."""
