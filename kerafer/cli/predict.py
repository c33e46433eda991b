"""`kerafer predict`."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from kerafer.cli.options import Given, make_settings, with_options
from kerafer.console import console
from kerafer.errors import some
from kerafer.runtime.predict_folder import (
    PredictConfig,
    PredictedFolder,
    predict_to_folder,
)
from kerafer.runtime.results import (
    FacePrediction,
    best_of,
    count_votes,
    is_unsure,
    show_votes,
    sure_label,
)

_MOST_COLUMNS = 6


@with_options(given=PredictConfig)
def predict(*paths: str, given: Given | None = None) -> int:
    """Predict expressions on images, videos or a camera.

    Args:
        paths: Images, videos, folders, quoted patterns, or the address of a
            stream, such as rtsp://...

    Returns:
        The exit code: 1 if a result could not be written or a stream stopped
        early.
    """
    config = make_settings(PredictConfig, given)
    done = predict_to_folder(paths, config)
    faces = done.last[:_MOST_COLUMNS] if done.sources == 1 else []
    if faces:
        console.print(_table(faces, done.recognizer.labels))
    _summarize(done, not config.rows_only)
    temperature = done.recognizer.bundle.vote_temperature
    for number, face in enumerate(faces, 1):
        shown = sure_label(face.label, face.probabilities)
        told = f"face {number}: {shown}"
        if temperature is not None:
            votes = count_votes(face.probabilities, temperature)
            told += f"; {show_votes(votes)}"
        console.print(told, soft_wrap=True)
    return 1 if done.unwritten or done.stopped else 0


def _summarize(done: PredictedFolder, copies: bool) -> None:
    for what, names in (
        ("can't be read", done.unreadable),
        ("without a face", done.without),
        ("small, without a face, taken whole", done.taken_whole),
        ("with several images, of which the first counts", done.several),
        ("cannot be written", done.unwritten),
        ("stopped early", done.stopped),
    ):
        if names:
            console.print(
                f"{len(names):,} of {done.sources:,} {what}: {some(names)}",
                soft_wrap=True,
            )
    beside = ", the annotated copies beside" if copies else ""
    console.print(
        f"Faces: {done.faces:,}. Written to {done.rows}{beside}",
        soft_wrap=True,
    )


def _table(faces: list[FacePrediction], labels: tuple[str, ...]) -> Table:
    table = Table()
    table.add_column("expression")
    for number, face in enumerate(faces, 1):
        x, y = face.box[:2]
        sure = face.label and not is_unsure(best_of(face.probabilities)[1])
        title = f"face {number}" if sure else f"face {number}, unsure"
        table.add_column(f"{title}\nat {x}, {y}", justify="right")
    for label in labels:
        shares = [
            Text(
                f"{face.probabilities[label]:.1%}",
                "bold" if label == face.label else "",
            )
            for face in faces
        ]
        table.add_row(label, *shares)
    return table
