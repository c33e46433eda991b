"""Where a model looks on images, and what its wavelets learned."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kerafer.class_names import column_order, match_classes
from kerafer.console import console, silence, track
from kerafer.datasets.left_out import tell_left_out
from kerafer.engine import load_tensorflow_backend
from kerafer.errors import ConfigError, UserError, some
from kerafer.faces.crops import MARGIN, crop_faces
from kerafer.faces.detector import FaceDetector
from kerafer.faces.detectors import DEFAULT, make_detector
from kerafer.files import is_full, keep_results, results_folder
from kerafer.images import UnreadableImageError, fit, read_image
from kerafer.inference import ModelBundle, ModelSource
from kerafer.runtime.sources import (
    Source,
    find_left_out,
    find_sources,
    keep_originals,
)
from kerafer.tables import write_table

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("grad-cam", "grad-cam++", "occlusion")
_TOLD_CHANNELS = 3
_DIGITS = "%.6g"


class ExplainedImages(NamedTuple):
    """The results of `explain_images`.

    Args:
        sheets: The files that were written.
        unwritten: Those that could not be written, and why.
    """

    sheets: list[Path]
    unwritten: list[str]


def explain_images(
    models: Sequence[str | os.PathLike[str]],
    paths: Sequence[str | os.PathLike[str]],
    *,
    method: str = "grad-cam",
    class_name: str | None = None,
    detector: str = "auto",
    labels: Sequence[str] | None = None,
    input_range: str | None = None,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> ExplainedImages:
    """Show where models look, a sheet for each image, models side by side.

    Args:
        models: `.keras` files, or folders of a run or of an export with
            `model.keras`.
        paths: Images, folders of them, or patterns.
        method: `"grad-cam"`, `"grad-cam++"` or `"occlusion"`. Defaults to
            `"grad-cam"`.
        class_name: The class that is explained. Defaults to each model's
            prediction.
        detector: Finds the faces: one of `DETECTORS`; `"none"` takes each
            image whole, `"auto"` does where the first model was trained on
            whole ones. Defaults to `"auto"`.
        labels: Class names in the order of the outputs, for models without
            them.
        input_range: The values that the models take, if their files do not
            say: `"0..255"`, `"0..1"`, `"-1..1"` or mean/std.
        out: Folder of the sheets. Defaults to `explained`, or `explained-2`
            and so on, where that is there.
        force: Whether sheets that are there are replaced. Defaults to `False`.

    Raises:
        UserError: For models and images that are not there, or no image with
            a face.
    """
    if method not in METHODS:
        raise ConfigError(
            f"`method` is one of {', '.join(METHODS)}. Received: {method}."
        )
    folder = results_folder(out, "explained", force)
    files = _files(models)
    sources = _sources([os.fspath(path) for path in paths], folder, method)
    keep_results([_sheet(folder, one, method) for one in sources], force)
    # TensorFlow takes seconds to import; mistakes above come without it.
    load_tensorflow_backend("Explanations")
    loaded = _models(files, labels, input_range)
    _check_class(class_name, loaded)
    return _explain_sources(
        sources,
        loaded,
        out=folder,
        method=method,
        found_by=detector,
        class_name=class_name,
    )


def explain_wavelets(
    models: Sequence[str | os.PathLike[str]],
    *,
    labels: Sequence[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> list[Path]:
    """Tell and draw what the wavelets of models learned.

    Of a run, also which channels they raise for which class of its test
    images.

    Args:
        models: As for `explain_images`.
        labels: Likewise.
        data_dir: Where the run's data set is now, if it has moved.
        out: Folder of tables and figures; several models get a folder each in
            it. Defaults as for `explain_images`.
        force: Whether those that are there are replaced. Defaults to `False`.

    Returns:
        The folders that something was written to.

    Raises:
        UserError: For models that are not there, or none with wavelets.
    """
    folder = results_folder(out, "explained", force)
    files = _files(models)
    load_tensorflow_backend("Explanations")
    loaded = _models(files, labels)
    # Several models get a folder each.
    folders = [folder / (one.name if loaded[1:] else "") for one in loaded]
    keep_results([own / "wavelets.csv" for own in folders], force)
    written, missing = [], []
    for one, own in zip(loaded, folders, strict=True):
        try:
            _explain_model(one, own, data_dir)
            written.append(own)
        except _NoWaveletsError as error:
            missing.append(str(error))
    if not written:
        raise UserError(missing[0])
    for sentence in missing:
        _tell(sentence)
    return written


# === What was asked for ===


def _find(model: str | os.PathLike[str]) -> ModelSource:
    ModelSource.find(model)
    try:
        return ModelSource.find(model, keras_only=True)
    except UserError as error:
        raise UserError(
            "An explanation needs the gradients of the model, which only "
            f"Keras has.\n{error}"
        ) from None


def _files(models: Sequence[str | os.PathLike[str]]) -> list[ModelSource]:
    if not models:
        raise ConfigError(
            "`model` says which model is explained. It is missing."
        )
    return [_find(model) for model in models]


def _sources(paths: list[str], out: Path, method: str) -> list[Source]:
    with silence():
        found = find_sources(paths, out)
    tell_left_out(find_left_out(paths, out))
    sources = [source for source in found if not source.is_video]
    if not sources:
        raise UserError(
            "Images are explained, not videos. Received no image: "
            f"{found[0].shown}."
        )
    if len(sources) < len(found):
        console.print(f"Left out: {len(found) - len(sources):,} videos.")
    sheets = [_sheet(out, source, method) for source in sources]
    keep_originals(sources, sheets, out)
    return sources


def _sheet(out: Path, source: Source, method: str) -> Path:
    return out / f"{source.name}_{method}.png"


def _models(
    sources: list[ModelSource],
    labels: Sequence[str] | None,
    input_range: str | None = None,
) -> list[ModelBundle]:
    models: list[ModelBundle] = []
    for source in sources:
        model = ModelBundle.load(source, labels=labels, input_range=input_range)
        model.name = _name(source.file, models)
        models.append(model)
    return models


def _name(file: Path, taken: list[ModelBundle]) -> str:
    """The folder's or file's name, with a number where it is taken."""
    whole = file.resolve()
    of_folder = file.name in ("best.keras", "model.keras")
    stem = whole.parent.name if of_folder else whole.stem
    name, count = stem, 1
    while name in [model.name for model in taken]:
        count += 1
        name = f"{stem}-{count}"
    return name


def _check_class(class_name: str | None, models: list[ModelBundle]) -> None:
    for one in models:
        if class_name is not None and None in match_classes(
            one.labels, [class_name]
        ):
            raise UserError(
                f"The classes of {one.name} are {', '.join(one.labels)}. "
                f"Received: `class` {class_name}."
            )


# === Images ===


def _explain_sources(
    sources: list[Source],
    models: list[ModelBundle],
    out: Path,
    method: str,
    found_by: str,
    class_name: str | None,
) -> ExplainedImages:
    out.mkdir(parents=True, exist_ok=True)
    margin = models[0].crop_margin
    if found_by == "auto":
        found_by = "none" if margin is None else DEFAULT
    margin = MARGIN if margin is None else margin
    with silence():
        detector = make_detector(found_by)
    sheets: list[Path] = []
    unreadable: list[str] = []
    without: list[str] = []
    unwritten: list[str] = []
    for source in track(sources, "Images", len(sources)):
        try:
            image = read_image(source.path)
        except UnreadableImageError as error:
            unreadable.append(str(error))
            continue
        faces = _faces(image, detector, margin)
        if not faces:
            without.append(str(source.path))
            continue
        file = _sheet(out, source, method)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            _explain_faces(faces, models, method, class_name, file)
            sheets.append(file)
        except OSError as error:
            if is_full(error):
                raise
            unwritten.append(f"{file} ({error.strerror})")
    if len(unreadable) == len(sources):
        raise UserError(unreadable[0])
    for what, names in (
        ("can't be read", unreadable),
        ("without a face (`detector` none takes them whole)", without),
        ("cannot be written", unwritten),
    ):
        if names:
            _tell(f"{len(names):,} of {len(sources):,} {what}: {some(names)}")
    count = len(sheets)
    _tell(f"Sheets: {count:,}. Written to {out}" if count else "Sheets: none.")
    return ExplainedImages(sheets, unwritten)


def _faces(
    image: np.ndarray, detector: FaceDetector, margin: float
) -> list[np.ndarray]:
    """The faces on an image, cut out as `kerafer predict` does it."""
    boxes = [face.box for face in detector.detect(image)]
    return crop_faces(image, boxes, margin)


def _explain_faces(
    faces: list[np.ndarray],
    models: list[ModelBundle],
    method: str,
    class_name: str | None,
    file: Path,
) -> None:
    from kerafer.explain import explain, plot_sheet

    explanations = {
        one.name: explain(
            one.keras_model,
            one.input_range.apply(
                np.stack([fit(face, one.input_shape) for face in faces])
            ),
            one.labels,
            method,
            class_name,
        )
        for one in models
    }
    plot_sheet(faces, explanations, method, file)


# === Wavelets ===


class _NoWaveletsError(Exception):
    """A model without wavelets among others."""


def _explain_model(
    one: ModelBundle, folder: Path, data_dir: str | os.PathLike[str] | None
) -> None:
    from kerafer.explain import (
        channel_weights,
        plot_channels,
        plot_wavelets,
        wavelet_table,
    )

    try:
        wavelets = wavelet_table(one.keras_model)
    except UserError as error:
        raise _NoWaveletsError(str(error)) from None
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "wavelets.csv", wavelets, float_format=_DIGITS)
    plot_wavelets(one.keras_model, folder / "wavelets.png")
    _tell(
        f"{one.name}: {len(wavelets)} wavelets. "
        f"Scale {_range(wavelets['scale'])} (start 1), "
        f"shift {_range(wavelets['shift'])} (start 0), "
        f"centre frequency {_range(wavelets['frequency'])} cycles per unit "
        f"(start {wavelets['start_frequency'].iloc[0]:.4f})"
    )
    written = "wavelets.csv and .png"
    try:
        images, labels = _test_images(one, data_dir)
    except UserError as error:
        _tell(f"channels.csv and .png are left out. {error}")
    else:
        channels = channel_weights(one.keras_model, images, labels, one.labels)
        write_table(folder / "channels.csv", channels, float_format=_DIGITS)
        plot_channels(channels, folder / "channels.png")
        _tell_channels(channels)
        written += ", channels.csv and .png"
    _tell(f"Written to {folder}: {written}")


def _test_images(
    one: ModelBundle, data_dir: str | os.PathLike[str] | None
) -> tuple[np.ndarray, np.ndarray]:
    """The images that the run was tested on, with their classes."""
    from kerafer.training.run_folder import RunFolder
    from kerafer.workflows.split_dataset import find_data

    folder = RunFolder(Path(one.file or "").parent)
    missing = [
        file.name
        for file in (folder.config, folder.split)
        if not file.is_file()
    ]
    if missing:
        raise UserError(
            "Channels by class need the test images of a run: its folder "
            f"has config.yaml and split.csv. {folder.path} lacks "
            f"{' and '.join(missing)}."
        )
    _, training = RunFolder.open(folder.path)
    if data_dir:
        training = dataclasses.replace(training, data_dir=os.fspath(data_dir))
    data = find_data(training, folder.split)
    order = column_order(one.labels, data.dataset.class_names)
    rows = data.rows("test")
    if not len(rows):
        raise UserError("The run's split has no test images.")
    images = np.ascontiguousarray(data.decode(training)[rows])
    return images, order[data.dataset.labels[rows]]


def _range(values: pd.Series) -> str:
    return f"{values.min():.4f} to {values.max():.4f}"


def _tell_channels(channels: pd.DataFrame) -> None:
    from rich.table import Table

    for layer, here in channels.groupby("layer", sort=False):
        shown = Table("class", "channels raised most", "lowered most")
        shown.title = f"{layer}: weight against the mean of the classes"
        for name, rows in here.groupby("class", sort=False):
            ends = rows.head(_TOLD_CHANNELS), rows.tail(_TOLD_CHANNELS)[::-1]
            shown.add_row(name, *map(_ends, ends))
        console.print(shown)


def _ends(rows: pd.DataFrame) -> str:
    return ", ".join(
        f"{row.channel} ({row.difference:+.3f})" for row in rows.itertuples()
    )


def _tell(sentence: str) -> None:
    console.print(sentence, soft_wrap=True)
