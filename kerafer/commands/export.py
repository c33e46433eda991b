"""`kerafer export`: a run's model as files for other machines."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from kerafer.console import console
from kerafer.engine import take_tensorflow
from kerafer.errors import UserError
from kerafer.export.config import ExportConfig
from kerafer.files import digest, output_folder, size
from kerafer.foreign import read_json
from kerafer.model_files import find_keras_file, model_path
from kerafer.settings import add_flags, from_flags

if TYPE_CHECKING:
    from kerafer.export.export import Source
    from kerafer.training.config import TrainingConfig
    from kerafer.training.run_folder import RunFolder
    from kerafer.workflows.pictures import Pictures

GATE_MISSED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--model",
        metavar="PATH",
        required=True,
        help="folder of a run, whose pictures calibrate and test the files; or "
        "any .keras file, or the folder of an export",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder of the files (default: exported/<name of the model>)",
    )
    parser.add_argument(
        "--images",
        metavar="DIR",
        help="what a model that is no run was made for, <class>/* or without "
        "labels: they calibrate and test the files",
    )
    parser.add_argument(
        "--labels",
        metavar="NAMES",
        help="class names of such a model, in the order of its outputs, with "
        "commas between (default: those beside the model)",
    )
    parser.add_argument(
        "--image-size",
        metavar="N",
        type=int,
        help="height and width, for a model that takes any",
    )
    parser.add_argument(
        "--input",
        choices=("uint8", "float32"),
        default="uint8",
        help="whether the model takes images as they are stored, 0 to 255, or "
        "numbers that were scaled before (default: uint8)",
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="where the run's data set is now, if it has moved",
    )
    add_flags(parser, ExportConfig)


def run(parsed: argparse.Namespace) -> int:
    """Export, verify, and say what was written."""
    config = from_flags(ExportConfig, parsed)
    path = model_path(parsed.model)
    file = find_keras_file(path)
    found = None if parsed.images else _run_of(path, file)
    _check_flags(parsed, config, found is not None)
    if found:
        _check_others(config, found[1])
    whole = found or path.is_dir()
    name = file.resolve().parent.name if whole else file.stem
    out = output_folder(parsed.out, Path("exported") / name)
    # The files are made beside it.
    output_folder(out.absolute().parent)
    # TensorFlow takes seconds to import; mistakes above come without it.
    take_tensorflow("Exports")
    from kerafer.export.export import earlier_export, export

    sha256 = digest(file)
    earlier_export(out, sha256)
    if found:
        run_folder, training = found
        if parsed.data_dir:
            training = dataclasses.replace(training, data_dir=parsed.data_dir)
        source = _source(run_folder, training, config, sha256, parsed.input)
    else:
        source = _other_source(parsed, config, file, name, sha256)
    manifest, left_out = export(source, out, config)
    if manifest["files"]:
        names = ", ".join(manifest["files"])
        console.print(
            f"Written to {out}: {names} and MODEL_CARD.md, "
            f"{size(out) / 1e6:.1f} MB with all beside them",
            soft_wrap=True,
        )
    for name, missed in left_out.items():
        console.print(f"Left out: {name} {missed}", soft_wrap=True)
    return GATE_MISSED if left_out else 0


def _run_of(path: Path, file: Path) -> tuple[RunFolder, TrainingConfig] | None:
    """The run that a path is the folder or the best model of."""
    from kerafer.training.run_folder import RunFolder

    folder = RunFolder(file.parent)
    is_run = folder.config.is_file() or folder.split.is_file()
    if not is_run or file.name != folder.best.name:
        return None
    missing = [x.name for x in (folder.config, folder.split) if not x.is_file()]
    if missing:
        raise UserError(
            "An export takes the folder of a run: the pictures of its split "
            "calibrate the files and test them.\n"
            f"{path} lacks {', '.join(missing)}."
        )
    return RunFolder.open(folder.path)


def _check_flags(
    parsed: argparse.Namespace, config: ExportConfig, run: bool
) -> None:
    if parsed.input == "float32" and (parsed.images or run):
        raise UserError(
            "Images of files are uint8, and --input float32 is for a model "
            "that takes other numbers.\nIn Python kerafer.export_model takes "
            "images in these."
        )
    given = [
        f"--{name}"
        for name in ("labels", "image-size")
        if run and getattr(parsed, name.replace("-", "_")) is not None
    ]
    if given:
        raise UserError(
            f"{' and '.join(given)}: a run knows by itself. Leave it out."
        )
    others = [
        flag
        for flag, value in (
            ("--data-dir", parsed.data_dir),
            ("--also-on", config.also_on),
        )
        if value and not run
    ]
    if others:
        raise UserError(
            f"{' and '.join(others)} is about the folder of a run. Received: "
            f"--model {parsed.model}."
        )


def _other_source(
    parsed: argparse.Namespace,
    config: ExportConfig,
    file: Path,
    name: str,
    sha256: str,
) -> Source:
    """Of a model that is no run."""
    from kerafer.data.image_folder import folder_images
    from kerafer.export.any_model import make_source
    from kerafer.export.inference import image_input
    from kerafer.models import load_model
    from kerafer.runtime.face_margin import find_face_margin
    from kerafer.runtime.labels import find_labels

    model = load_model(file)
    given = image_input(
        model, parsed.input, parsed.image_size, config.keep_gray
    )
    names, classes = None, getattr(model, "output_shape", None)
    if parsed.labels:
        names = tuple(parsed.labels.split(","))
    elif isinstance(classes, tuple) and len(classes) == 2:
        # Nothing beside the file may say which classes it knows.
        with contextlib.suppress(UserError):
            names = find_labels(file, classes[1])
    images = labels = None
    if parsed.images:
        images, labels = folder_images(Path(parsed.images), given.shape, names)
    facts = None
    manifest = file.parent / "manifest.json"
    if file.name == "model.keras" and manifest.is_file():
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            facts = read_json(manifest)["source"]
            facts = {**facts, "sha256": sha256}
    return make_source(
        model,
        name,
        sha256,
        given,
        config,
        images,
        labels,
        names,
        facts,
        find_face_margin(file),
    )


def _check_others(config: ExportConfig, training: TrainingConfig) -> None:
    if not config.also_on:
        return
    others = Path(config.also_on)
    rule = "--also-on is a folder or .zip of pictures, <class>/*"
    if not others.exists():
        raise UserError(f"{rule}. There is no {others}.")
    if others.is_file() and others.suffix.lower() != ".zip":
        raise UserError(f"{rule}. Received the file {others}.")
    own = training.data_dir and Path(training.data_dir)
    if own and own.resolve() == others.resolve():
        raise UserError(
            f"{rule}, that the model never saw. Received the data set of its "
            f"run, {others}, whose test pictures the model card has anyway."
        )


def _source(
    folder: RunFolder,
    training: TrainingConfig,
    config: ExportConfig,
    sha256: str,
    kind: str,
) -> Source:
    import numpy as np

    from kerafer.data.face_margin import training_margin
    from kerafer.data.limits import data_limits
    from kerafer.data.splits import spread_rows
    from kerafer.export.export import Source
    from kerafer.export.inference import image_input, keras_answers
    from kerafer.export.verify import Reference
    from kerafer.models import load_model
    from kerafer.runtime.votes import find_vote_temperature
    from kerafer.workflows.other_pictures import find_other_pictures
    from kerafer.workflows.pictures import find_pictures

    model = load_model(folder.best)
    pictures = find_pictures(training, folder.split)
    images = pictures.decode(training)
    dataset = pictures.dataset
    if model.output_shape[-1] != len(dataset.class_names):
        raise UserError(
            "A run's model has one output for each class of its data set. "
            f"This one has {model.output_shape[-1]}, the data set "
            f"{', '.join(dataset.class_names)}."
        )
    train, test = pictures.rows("train"), pictures.rows("test")
    if not len(train) or len(test) < 2:
        raise UserError(
            "An export needs pictures for training, and at least 2 for test. "
            f"The split has {len(train)} and {len(test)}."
        )
    given = image_input(model, kind, keep_gray=config.keep_gray)
    margin = training_margin(dataset.name, training.face_crop)
    others = config.also_on and find_other_pictures(
        Path(config.also_on),
        config.subject_pattern,
        dataset.class_names,
        given.shape,
        margin,
    )
    count = min(config.calibration, len(train))
    chosen = train[spread_rows(dataset.labels[train], count, config.seed)]
    channels = given.shape[2] // images.shape[3]
    tested = np.repeat(images[test], channels, axis=3)
    reference = Reference(
        tested,
        keras_answers(model, given, tested),
        dataset.labels[test],
        tuple(dataset.class_names),
        dataset.manifest["subject"].to_numpy(object)[test]
        if dataset.has_subjects
        else None,
    )
    facts = {
        "architecture": training.arch,
        "run": folder.path.name,
        "sha256": sha256,
        "data": dataset.source,
        "licence": dataset.licence,
        "learnt": _learnt(training),
        "faces": "cut out by MTCNN"
        if training.face_crop == "mtcnn"
        else "as the data set has them, not cut out",
        "split": f"that of the run, seed {training.seed}: {_sizes(pictures)}",
        "notes": list(pictures.notes),
        "limits": data_limits(dataset.name),
    }
    calibration = np.repeat(images[chosen], channels, axis=3)
    return Source(
        model,
        given,
        facts,
        calibration,
        reference,
        margin,
        others or None,
        find_vote_temperature(folder.best),
    )


def _sizes(pictures: Pictures) -> str:
    """How many pictures each part has."""
    from kerafer.data.splits import PARTS, UNUSED

    counts = [(part, len(pictures.rows(part))) for part in (*PARTS, UNUSED)]
    return ", ".join(f"{count:,} {part}" for part, count in counts if count)


def _learnt(training: TrainingConfig) -> list[str]:
    """The models whose data is in these weights too."""
    began = [training.init_from] if training.init_from else []
    return [
        *(f"began with the weights of `{Path(name).name}`" for name in began),
        *(f"taught by `{Path(name).name}`" for name in training.teachers),
    ]
