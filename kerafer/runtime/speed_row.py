"""A row of a table of speeds."""

from __future__ import annotations


def speed_row(
    what: str,
    seconds: float,
    pictures: int,
    threads: int,
    ratio: float | None = None,
    same_class: float | None = None,
) -> dict[str, object]:
    """Put what was timed into the columns that all of these tables have.

    Args:
        what: Was timed.
        seconds: That it took.
        pictures: In this time.
        threads: Of the engine that ran the model.
        ratio: Of a whole to the sum of its parts. Defaults to none.
        same_class: The share of images with the right model's answer.
            Defaults to none.

    Returns:
        `what`, `images_per_second`, `milliseconds_per_image`, `ratio`,
        `same_class` and `threads`.
    """
    return {
        "what": what,
        "images_per_second": round(pictures / seconds, 1),
        "milliseconds_per_image": round(1000 * seconds / pictures, 3),
        "ratio": None if ratio is None else round(ratio, 3),
        "same_class": None if same_class is None else round(same_class, 3),
        "threads": threads,
    }
