"""Export models to other machines."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.metadata
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerafer.console import console
from kerafer.engine import load_tensorflow_backend
from kerafer.errors import ConfigError, UserError, first_line
from kerafer.export.config import FILES, ExportConfig
from kerafer.files import (
    digest,
    keep_results,
    output_folder,
    remove,
    replace_folder,
    write_text,
)
from kerafer.model_files import find_keras_file, model_path
from kerafer.training.run import Run
from kerafer.versions import versions

if TYPE_CHECKING:
    import keras
    import numpy as np

    from kerafer.export.compare import Answers, Comparison
    from kerafer.export.converter import Converter
    from kerafer.export.source import Source
    from kerafer.images import ImageLike

MANIFEST, GOLDEN, LABELS = "manifest.json", "golden.npz", "labels.txt"
_DEFAULT = "savedmodel,float16,dynamic,int8"
_WITHOUT_IMAGES = "savedmodel,float16"
_CALIBRATED = {"int8", "onnx-int8"}
# Images on which wavelets are watched.
_MOST_WATCHED = 256
# The first of these that an export has is the one that the card scores.
_SCORED = ("int8", "float16", "float32", "dynamic", *FILES)
# Of the answers above the thresholds of the model card.
_TARGET_ACCURACY = 0.95


class NothingExportedError(UserError):
    """No file could be made, or each missed its gate.

    Attributes:
        left_out: The reason for each file.
    """

    def __init__(self, left_out: Mapping[str, str]) -> None:
        reasons = "; ".join(f"{name} {why}" for name, why in left_out.items())
        super().__init__(f"No file was written: {reasons}")
        self.left_out = left_out


def export_model(
    model: keras.Model | str | os.PathLike[str],
    out: str | os.PathLike[str],
    formats: str | Sequence[str] | None = None,
    images: np.ndarray
    | Sequence[ImageLike]
    | str
    | os.PathLike[str]
    | None = None,
    labels: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    input: str = "uint8",
    image_size: int | tuple[int, int] | None = None,
    keep_gray: bool = False,
    data_dir: str | os.PathLike[str] | None = None,
    force: bool = False,
    **gates: Any,
) -> dict[str, Any]:
    """Write a model as SavedModel, TFLite and ONNX, each compared with Keras.

    The folder also gets `manifest.json`, `MODEL_CARD.md`, `golden.npz`
    (synthetic faces with the expected answers) and `labels.txt`. It is written
    beside `out` and renamed at the end.

        kerafer.export_model("runs/mine", "phone")
        kerafer.export_model(model, "phone", images=x_test, labels=y_test,
                             class_names=["angry", "happy"])

    Args:
        model: A built `keras.Model` of any kind, with one output or several;
            a `.keras` file; or the folder of a run or an export. Without
            `images`, a run's own images calibrate and test its files.
        out: The folder, new or empty.
        formats: Any of keras, savedmodel, float32, float16, dynamic, int8,
            onnx and onnx-int8. Default: savedmodel, float16, and, if there
            are images, dynamic and int8.
        images: What the model was made for: uint8 of shape `(images, height,
            width, channels)`, or what `kerafer.images.as_image` takes, of
            any size; floats in the range of the training if `input` is
            `"float32"`; or a folder of images, `<class>/*` or without labels.
            Up to 200 of them, and at most half, calibrate int8; the others
            test every file.
        labels: Class index of each image. Default: files are compared with
            Keras only.
        class_names: In the order of the model's first output. Default: those
            beside the model's file, if any.
        input: `"uint8"`, pixels of 0 to 255, for a model that scales them
            itself; or `"float32"`, numbers as the model takes them.
            Default: `"uint8"`.
        image_size: Height and width, for a model that takes any size.
        keep_gray: Whether the files of a gray model take gray images. Default:
            they take RGB and convert it.
        data_dir: Where a run's data set is now, if it has moved.
        force: Whether to replace an earlier export in `out`. Default: False.
        **gates: Further fields of `kerafer.export.config.ExportConfig`, such
            as `max_drop_int8`, `ignore_gates`, `external_test` or `threads`.

    Returns:
        The manifest, with measurements of every file in `files`, and in
        `left_out` the reason for each that was not made or missed its gate.

    Raises:
        UserError: For a model, images, labels or formats that do not fit.
        NothingExportedError: If no file could be written.
    """
    file = None
    if isinstance(model, (str, os.PathLike)):
        file = find_keras_file(model)
    run = _find_run(file) if file is not None and images is None else None
    has_images = run is not None or images is not None
    if formats is None:
        formats = _DEFAULT if has_images else _WITHOUT_IMAGES
    config = _config(formats, keep_gray, gates)
    if run:
        _refuse_with_run(run, config, class_names, image_size, input)
    else:
        _check_without_run(config, images, input, data_dir)
    _check_folder(Path(out), force)
    # TensorFlow takes seconds to import; mistakes above come without it.
    load_tensorflow_backend("Exports")
    from kerafer.export.source import (
        source_of_file,
        source_of_model,
        source_of_run,
    )

    given = (images, labels, class_names, input, image_size)
    if run:
        source = source_of_run(run, config, data_dir)
    elif file is not None:
        source = source_of_file(file, model_name(model), config, *given)
    else:
        name = getattr(model, "name", "")
        source = source_of_model(model, name, config, *given)
    return write_export(source, Path(out), config)


def write_export(
    source: Source,
    out: Path,
    config: ExportConfig,
    converter: Converter | None = None,
) -> dict[str, Any]:
    """Write the formats, compare each with Keras, and keep those that pass.

    Args:
        source: The model and its images.
        out: The folder.
        config: Formats and gates.
        converter: Shared by several exports. Default: a new one.

    Returns:
        As `export_model`.

    Raises:
        NothingExportedError: If no file could be written.
    """
    from kerafer.export.compare import compare, missed_gate, run_file
    from kerafer.export.converter import Converter
    from kerafer.export.formats import write_format
    from kerafer.export.graph import freeze_graph
    from kerafer.export.source import check_calibration, golden_images

    # The target of a link is replaced, not the link.
    out = out.resolve()
    golden = golden_images(source.given, source.input_range)
    names, threads = source.reference.names, config.threads
    if _CALIBRATED & set(config.chosen) and len(source.calibration):
        check_calibration(source.calibration)
    _warn_of_silent_wavelets(source)
    files: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    answers: dict[str, np.ndarray] = {}
    tested: dict[str, Answers] = {}
    # One graph at a time: each holds all weights.
    trace = functools.lru_cache(1)(
        functools.partial(freeze_graph, source.model, source.given)
    )
    own = contextlib.nullcontext(converter) if converter else Converter()
    with replace_folder(out) as folder, own as converter:
        for kind in config.chosen:
            path = folder / FILES[kind]
            console.print(f"{path.name} ...")
            try:
                facts = write_format(kind, path, source, converter, trace)
                found = run_file(path, source.reference.images, threads, names)
            # A converter may fail in any way; try the other formats.
            except Exception as error:
                reason = str(error)
                if not isinstance(error, UserError):
                    reason = f"{type(error).__name__}: {first_line(error)}"
                left_out[path.name] = f"cannot be made. {reason}"
                console.print(f"  {reason}", style="bold red")
                remove(path)
                continue
            comparison = compare(path, found, source.reference)
            missed = missed_gate(kind, comparison, config)
            _show(path.name, comparison, missed)
            if missed and not config.ignore_gates:
                left_out[path.name] = f"{missed}. `ignore_gates` keeps it."
                remove(path)
                continue
            tested[path.name] = found
            answers |= _golden_answers(path, golden, source, threads, facts)
            files[path.name] = {
                "format": kind,
                "sha256": digest(path),
                **facts,
                **dataclasses.asdict(comparison),
                "missed_gate": missed,
            }
        if not files:
            raise NothingExportedError(left_out)
        manifest = _manifest(source, config, files)
        manifest["scores"] = _scores(folder, source, tested, threads)
        _write_beside(folder, source, golden, answers, manifest)
    return {**manifest, "left_out": left_out}


def model_name(model: str | os.PathLike[str]) -> str:
    """Name an export by its run or folder, or by the model's file."""
    path = model_path(model)
    file = find_keras_file(path)
    whole = path.is_dir() or (file.parent / "config.yaml").is_file()
    return file.resolve().parent.name if whole else file.stem


def _find_run(file: Path) -> Run | None:
    """Return the run whose best model a file is."""
    files = [file.parent / name for name in ("config.yaml", "split.csv")]
    missing = [x.name for x in files if not x.is_file()]
    if file.name != "best.keras" or len(missing) == len(files):
        return None
    if missing:
        raise UserError(
            f"{file.parent} is not a complete run: {', '.join(missing)} is "
            "missing. Images of its split calibrate and test the files.\n"
            "Give `images` to export the model without them."
        )
    return Run.open(file.parent)


def _config(
    formats: str | Sequence[str], keep_gray: bool, gates: Mapping[str, Any]
) -> ExportConfig:
    if not isinstance(formats, str):
        formats = ",".join(formats)
    known = {field.name for field in dataclasses.fields(ExportConfig)}
    if unknown := set(gates) - known:
        raise UserError(
            f"Unknown argument of export_model: {', '.join(sorted(unknown))}."
        )
    return ExportConfig(formats=formats, keep_gray=keep_gray, **gates)


def _refuse_with_run(
    run: Run,
    config: ExportConfig,
    class_names: Sequence[str] | None,
    image_size: int | tuple[int, int] | None,
    input: str,
) -> None:
    """Refuse what a run knows itself."""
    given = {"class_names": class_names, "image_size": image_size}
    given["input"] = input != "uint8"
    for name, value in given.items():
        if value:
            raise ConfigError(
                f"`{name}` is known from the run {run.path}. Leave it out."
            )
    if not config.external_test:
        return
    images = Path(config.external_test)
    _check_images(images, "`external_test`")
    data_dir = run.config.data_dir
    if data_dir and Path(data_dir).resolve() == images.resolve():
        raise ConfigError(
            f"`external_test` must be images that the model has not seen. "
            f"{images} is the data set of the run."
        )


def _check_without_run(
    config: ExportConfig,
    images: Any,
    input: str,
    data_dir: str | os.PathLike[str] | None,
) -> None:
    """Check what can be checked before TensorFlow loads."""
    of_run = {"data_dir": data_dir, "external_test": config.external_test}
    for name, value in of_run.items():
        if value:
            raise ConfigError(
                f"`{name}` needs the folder of a run as the model, without "
                "`images`."
            )
    if isinstance(images, (str, os.PathLike)):
        _check_images(Path(images), "`images`")
        if input == "float32":
            raise ConfigError(
                "`input` float32 is for a model that takes other numbers than "
                "pixels, with `images` as an array. Files of images are uint8."
            )
    needs = sorted(_CALIBRATED & set(config.chosen))
    if images is None and needs:
        raise ConfigError(
            f"{needs[0]} needs images to calibrate. Set `images`, or choose "
            "other `formats`."
        )


def _check_images(path: Path, name: str) -> None:
    if not path.exists():
        raise ConfigError(
            f"File not found: {path}. {name} must be a folder or .zip of "
            "images."
        )
    if path.is_file() and path.suffix.lower() != ".zip":
        raise ConfigError(
            f"{name} must be a folder or .zip of images. Received the file "
            f"{path}."
        )


def _check_folder(out: Path, force: bool) -> None:
    # The files are written beside it.
    output_folder(output_folder(out).absolute().parent)
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not (out / MANIFEST).is_file():
        raise UserError(
            f"`out` must be a new or empty folder. Nothing was written: {out} "
            "contains other files."
        )
    keep_results([out / MANIFEST], force)


def _warn_of_silent_wavelets(source: Source) -> None:
    """Warn of wavelet channels that are 0 for all test images."""
    from kerafer.evaluation.wavelet_statistics import (
        find_attentions,
        wavelet_statistics,
    )

    if not find_attentions(source.model):
        return
    images = source.given.for_model(source.reference.images[:_MOST_WATCHED])
    for row in wavelet_statistics(source.model, images).itertuples():
        if row.responding < 1:
            console.warn(
                f"{1 - row.responding:.0%} of the wavelet channels of "
                f"{row.layer}, {row.pool} pool, respond to none of "
                f"{len(images)} images. `kerafer explain` lists their inputs."
            )


def _show(name: str, comparison: Comparison, missed: str | None) -> None:
    words = [f"{comparison.bytes / 1e6:.1f} MB"]
    if comparison.accuracy is not None:
        words.append(f"accuracy {comparison.accuracy:.3f}")
    if comparison.agreement is not None:
        words.append(f"same class as Keras {comparison.agreement:.1%}")
    words.append(f"largest difference {comparison.largest_difference:.2g}")
    words.append(f"{comparison.milliseconds:.2f} ms")
    console.print(f"  {', '.join(words)}")
    if missed:
        console.print(f"  {name} {missed}", style="bold red")


def _golden_answers(
    path: Path,
    golden: np.ndarray,
    source: Source,
    threads: int,
    facts: dict[str, Any],
) -> dict[str, np.ndarray]:
    """Answer the golden images; int8 files also with reference kernels."""
    from kerafer.export.compare import compare_kernels, run_file

    names = source.reference.names
    # The first of several outputs stands for all.
    usual = run_file(path, golden, threads, names).probabilities
    if path.name != FILES["int8"]:
        return {path.name: usual}
    found, facts["reference_kernels"] = compare_kernels(path, golden, usual)
    return {path.name: usual, f"{path.name} reference": found}


def _scores(
    folder: Path, source: Source, tested: dict[str, Answers], threads: int
) -> dict[str, Any] | None:
    """Score the main file for the model card; `None` without labels."""
    from kerafer.evaluation import score
    from kerafer.evaluation.predictions import checked_probabilities
    from kerafer.evaluation.scores import drawn_groups
    from kerafer.evaluation.selective import select
    from kerafer.evaluation.votes import score_votes
    from kerafer.export.compare import run_file

    reference = source.reference
    labels, names = reference.labels, reference.class_names
    if labels is None or names is None:
        return None
    name = next(FILES[kind] for kind in _SCORED if FILES[kind] in tested)
    probabilities = checked_probabilities(tested[name].probabilities, name)
    external = None
    if source.external_test is not None:
        console.print(f"{name} on {source.external_test.name} ...")
        found = run_file(folder / name, source.external_test.images, threads)
        external = source.external_test.measure(found.probabilities, names)
    votes = selective = None
    if source.tested is not None and source.tested.has_shares:
        votes = score_votes(
            source.tested.targets,
            source.tested.majority,
            labels=labels,
            probabilities=probabilities,
            class_names=names,
            temperature=source.vote_temperature or 1.0,
            votes=source.tested.votes,
        )
    if source.validation is not None:
        images, truth = source.validation
        found = run_file(folder / name, images, threads)
        selective = select(
            (truth, checked_probabilities(found.probabilities, name)),
            (labels, probabilities),
            names,
            _TARGET_ACCURACY,
            drawn_groups(reference.subjects),
        )
    scores = score(
        labels, probabilities, names, reference.subjects, votes, selective
    )
    return {
        "file": name,
        "test": scores.as_dict(),
        "external_test": external,
    }


def _manifest(
    source: Source, config: ExportConfig, files: dict[str, Any]
) -> dict[str, Any]:
    from kerafer.inference.input_range import UNKNOWN
    from kerafer.inference.probabilities import is_probabilities

    given, reference = source.given, source.reference
    accuracy, macro_f1 = reference.score(reference.probabilities)
    packages = versions()
    for package in ("ai-edge-litert", "onnx", "onnxruntime"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            packages[package] = importlib.metadata.version(package)
    votes = source.vote_temperature
    note = (
        "numbers in the range that the model was trained with; nothing is "
        "scaled inside"
    )
    if given.kind == "uint8":
        gray = "RGB is converted to gray inside (model.keras takes gray); "
        note = gray if given.to_gray else ""
        note += (
            "scaling is inside; model.onnx takes these values in float32, "
            "saved_model any number of images"
        )
    return {
        "source": source.facts,
        "labels": list(reference.class_names or ()),
        "input": {
            "shape": [1, *given.shape],
            "kind": given.kind,
            "range": str(source.input_range or UNKNOWN),
            "note": note,
            "face_margin": source.face_margin,
        },
        "outputs": list(reference.names),
        "output": "probabilities; uint8 in int8.tflite, where 256 would be 1"
        if is_probabilities(reference.probabilities)
        else "numbers; in int8.tflite in the steps of its output's scale",
        **({"votes": {"temperature": votes}} if votes else {}),
        "calibration": {
            "n_images": len(source.calibration),
            "seed": config.seed,
        },
        "test": {
            "n_images": len(reference.images),
            "labelled": reference.labels is not None,
            "keras_accuracy": accuracy,
            "keras_macro_f1": macro_f1,
        },
        "threads": config.threads,
        "versions": packages,
        "files": files,
        "scores": None,
    }


def _write_beside(
    folder: Path,
    source: Source,
    golden: np.ndarray,
    answers: dict[str, np.ndarray],
    manifest: dict[str, Any],
) -> None:
    """Write golden answers, labels, the manifest and the card."""
    import numpy as np

    from kerafer.export.graph import predict_with_keras
    from kerafer.export.model_card import model_card

    expected = predict_with_keras(source.model, source.given, golden)
    arrays: dict[str, Any] = {
        "images": golden,
        "keras": expected[source.reference.names[0]],
        **answers,
    }
    np.savez_compressed(folder / GOLDEN, **arrays)
    if manifest["labels"]:
        text = "\n".join(manifest["labels"]) + "\n"
        (folder / LABELS).write_text(text, encoding="utf-8")
    write_text(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    write_text(folder / "MODEL_CARD.md", model_card(manifest))
