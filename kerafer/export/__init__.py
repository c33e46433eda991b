"""From a trained model to files for phones and other machines."""
