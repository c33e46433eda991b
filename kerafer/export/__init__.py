"""Models as files for other machines."""
