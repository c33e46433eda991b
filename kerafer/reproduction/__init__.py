"""The article's tables and figures, made again."""
