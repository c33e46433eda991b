"""Show where models look in images, and what their wavelets learned."""

from __future__ import annotations

import collections
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kerafer.class_names import match_classes
from kerafer.console import silence, track
from kerafer.engine import load_tensorflow_backend
from kerafer.errors import ConfigError, UserError
from kerafer.faces.crops import MARGIN, crop_faces
from kerafer.faces.detectors import DEFAULT, make_detector
from kerafer.files import keep_results, results_folder
from kerafer.images import UnreadableImageError, read_image
from kerafer.inference import ModelBundle, ModelSource
from kerafer.runtime.sources import find_sources, keep_originals
from kerafer.tables import write_table

if TYPE_CHECKING:
    import pandas as pd

Paths = Sequence[str | os.PathLike[str]]


class Explained(NamedTuple):
    """The sheets that were written, and files without one, by reason."""

    sheets: list[Path]
    skipped: dict[str, list[str]]


class ExplainedWavelets(NamedTuple):
    """The folder, the `wavelet_table` and the measured responses."""

    folder: Path
    table: pd.DataFrame
    responses: pd.DataFrame


def explain(
    models: Paths,
    paths: Paths,
    *,
    class_name: str | None = None,
    detector: str = "auto",
    labels: Sequence[str] | None = None,
    input_range: str | None = None,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Explained:
    """Draw where models look with Grad-CAM, one sheet per image.

    Args:
        models: `.keras` files, or folders of a run or an export with a Keras
            model. A sheet shows them side by side.
        paths: Images, folders of images, or patterns.
        class_name: The class to explain. Default: each model's prediction.
        detector: One of `DETECTORS`. `"none"` takes images whole, `"auto"`
            does so if the first model was trained on whole images. Default:
            `"auto"`.
        labels: Class names in the order of the outputs, for models without.
        input_range: The range of the models' inputs, if unknown: `"0..255"`,
            `"0..1"`, `"-1..1"` or mean/std.
        out: Folder of the sheets. Default: `explained`, or `explained-2`, ...
            if it exists.
        force: Replace existing sheets. Default: `False`.

    Raises:
        UserError: If a model, an image or the class does not exist, or no
            image can be read.
    """
    folder = results_folder(out, "explained", force)
    if not models:
        raise ConfigError("No model given. Name one with `model`.")
    sources = _find_models(models)
    with silence():
        found = find_sources([os.fspath(path) for path in paths], folder)
    images = [one for one in found if not one.is_video]
    skipped: dict[str, list[str]] = collections.defaultdict(list)
    skipped["is a video"] += [one.shown for one in found if one.is_video]
    if not images:
        raise UserError(f"Cannot explain {found[0].shown}: it is not an image.")
    sheets = {one: folder / f"{one.name}_grad-cam.png" for one in images}
    keep_originals(images, sheets.values(), folder)
    keep_results(sheets.values(), force)
    # TensorFlow takes seconds to import; the errors above come before it.
    load_tensorflow_backend("Explanations")
    from kerafer.explain.sheet import explain_answers, plot_sheet

    bundles = [
        ModelBundle.load(source, labels=labels, input_range=input_range)
        for source in sources
    ]
    indices = [_index(bundle, class_name) for bundle in bundles]
    margin = bundles[0].crop_margin
    if detector == "auto":
        detector = "none" if margin is None else DEFAULT
    margin = MARGIN if margin is None else margin
    with silence():
        finder = make_detector(detector)

    written = []
    for source in track(images, "Images", len(images)):
        try:
            image = read_image(source.file)
        except UnreadableImageError as error:
            skipped["cannot be read"].append(str(error))
            continue
        boxes = [face.box for face in finder.detect(image)]
        faces = crop_faces(image, boxes, margin)
        if not faces:
            skipped["has no face"].append(source.shown)
            continue
        sheet = sheets[source]
        sheet.parent.mkdir(parents=True, exist_ok=True)
        explanations = [
            (bundle.name, explain_answers(bundle, faces, index))
            for bundle, index in zip(bundles, indices, strict=True)
        ]
        plot_sheet(faces, explanations, sheet)
        written.append(sheet)
    if len(skipped["cannot be read"]) == len(images):
        raise UserError(skipped["cannot be read"][0])
    return Explained(written, {k: v for k, v in skipped.items() if v})


def explain_wavelets(
    model: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> ExplainedWavelets:
    """Write what a model's wavelets learned, and how they respond to images.

    `wavelets.csv` and `wavelets.png` have the trained scales and shifts,
    `responses.csv` what `kerafer.evaluation.wavelet_statistics` measures with
    the trained weights and with fresh ones.

    Args:
        model: As `models` of `explain`.
        images: A folder or .zip of images of faces. Default: the test images
            of a run, synthetic faces for other models.
        out: Folder of the files. Default: as for `explain`.
        force: Replace existing files. Default: `False`.

    Raises:
        UserError: If the model does not exist or has no wavelets.
    """
    folder = results_folder(out, "explained", force)
    names = ("wavelets.csv", "responses.csv", "wavelets.png")
    files = [folder / name for name in names]
    keep_results(files, force)
    (source,) = _find_models([model])
    load_tensorflow_backend("Explanations")
    from kerafer.explain import wavelets

    bundle = ModelBundle.load(source)
    table = wavelets.wavelet_table(bundle.keras_model)
    responses = wavelets.measure_responses(bundle, source.file.parent, images)
    folder.mkdir(parents=True, exist_ok=True)
    write_table(files[0], table, float_format="%.6g")
    write_table(files[1], responses, float_format="%.4g")
    wavelets.plot_wavelets(bundle.keras_model, files[2])
    return ExplainedWavelets(folder, table, responses)


def _find_models(models: Paths) -> list[ModelSource]:
    try:
        return [ModelSource.find(model, keras_only=True) for model in models]
    except UserError as error:
        raise UserError(f"Explanations need a Keras model.\n{error}") from None


def _index(bundle: ModelBundle, class_name: str | None) -> int | None:
    if class_name is None:
        return None
    (index,) = match_classes(bundle.labels, [class_name])
    if index is None:
        raise UserError(
            f"Unknown `class` {class_name}. The classes of {bundle.name} are "
            f"{', '.join(bundle.labels)}."
        )
    return index
