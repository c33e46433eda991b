"""`kerafer export`: a run's model as files for other machines."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from kerafer.console import console
from kerafer.engine import load_tensorflow
from kerafer.errors import UserError
from kerafer.export.config import ExportConfig
from kerafer.files import output_folder
from kerafer.settings import add_flags, from_flags

if TYPE_CHECKING:
    import numpy as np

    from kerafer.export.export import Source
    from kerafer.training.config import TrainingConfig
    from kerafer.training.run_folder import RunFolder

GATE_MISSED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--model",
        metavar="RUN",
        required=True,
        help="folder of a run, whose pictures calibrate and test the files",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder of the files (default: exported/<run>)",
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
    folder, training = _open(Path(parsed.model))
    _check_others(config, training)
    if parsed.data_dir:
        training = dataclasses.replace(training, data_dir=parsed.data_dir)
    out = output_folder(
        parsed.out, Path("exported") / folder.path.resolve().name
    )
    # The files are made beside it.
    output_folder(out.absolute().parent)
    # TensorFlow takes seconds to import; mistakes above come without it.
    load_tensorflow()
    from kerafer.export.export import digest, earlier_export, export
    from kerafer.export.verify import size

    sha256 = digest(folder.best)
    earlier_export(out, sha256)
    source = _source(folder, training, config, sha256)
    manifest, left_out = export(source, out, config)
    if manifest["files"]:
        names = ", ".join(manifest["files"])
        console.print(
            f"Written to {out}: {names} and MODEL_CARD.md, "
            f"{size(out) / 1e6:.1f} MB with all beside them",
            soft_wrap=True,
        )
    for name, missed in left_out.items():
        console.print(
            f"Left out: {name} {missed}. --allow-drop keeps it.",
            soft_wrap=True,
        )
    return GATE_MISSED if left_out else 0


def _open(path: Path) -> tuple[RunFolder, TrainingConfig]:
    from kerafer.training.run_folder import RunFolder

    rule = (
        "An export takes the folder of a run: the pictures of its split "
        "calibrate the files and test them."
    )
    given, where = path, ""
    if path.is_file():
        path = path.parent
        where = f": its folder, {path.resolve()},"
    folder = RunFolder(path)
    needed = (folder.best, folder.config, folder.split)
    missing = [file.name for file in needed if not file.is_file()]
    if missing:
        raise UserError(f"{rule}\n{given}{where} lacks {', '.join(missing)}.")
    if given.is_file() and not given.samefile(folder.best):
        raise UserError(
            f"{rule} Of a run it is {folder.best.name} that is exported. "
            f"Received: {given}."
        )
    return RunFolder.open(path)


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
) -> Source:
    import numpy as np

    from kerafer.commands.other_pictures import find_other_pictures
    from kerafer.commands.pictures import find_pictures
    from kerafer.data.face_margin import training_margin
    from kerafer.export.data_limits import data_limits
    from kerafer.export.export import Source, spread_rows
    from kerafer.export.verify import Reference
    from kerafer.models import load_model

    model = load_model(folder.best)
    pictures = find_pictures(training, folder.split)
    images, parts = pictures.decode(training), pictures.split.to_numpy()
    dataset = pictures.dataset
    if model.output_shape[-1] != len(dataset.class_names):
        raise UserError(
            "A run's model has one output for each class of its data set. "
            f"This one has {model.output_shape[-1]}, the data set "
            f"{', '.join(dataset.class_names)}."
        )
    train = np.flatnonzero(parts == "train")
    test = np.flatnonzero(parts == "test")
    if not len(train) or len(test) < 2:
        raise UserError(
            "An export needs pictures for training, and at least 2 for test. "
            f"The split has {len(train)} and {len(test)}."
        )
    margin = training_margin(dataset.name, training.face_crop)
    others = config.also_on and find_other_pictures(
        Path(config.also_on),
        config.subject_pattern,
        dataset.class_names,
        model.input_shape[1:],
        margin,
    )
    count = min(config.calibration, len(train))
    chosen = train[spread_rows(dataset.labels[train], count, config.seed)]
    tested = np.ascontiguousarray(images[test])
    reference = Reference(
        tested,
        dataset.labels[test],
        tuple(dataset.class_names),
        model.predict(tested, batch_size=32, verbose=0),
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
        "split": f"that of the run, seed {training.seed}: {_sizes(parts)}",
        "notes": list(pictures.notes),
        "limits": data_limits(dataset.name),
    }
    calibration = np.ascontiguousarray(images[chosen])
    return Source(model, facts, calibration, reference, margin, others or None)


def _sizes(parts: np.ndarray) -> str:
    """How many pictures each part has."""
    from kerafer.data.splits import PARTS, UNUSED

    counts = [(part, int((parts == part).sum())) for part in (*PARTS, UNUSED)]
    return ", ".join(f"{count:,} {part}" for part, count in counts if count)


def _learnt(training: TrainingConfig) -> list[str]:
    """The models whose data is in these weights too."""
    began = [training.init_from] if training.init_from else []
    return [
        *(f"began with the weights of `{Path(name).name}`" for name in began),
        *(f"taught by `{Path(name).name}`" for name in training.teachers),
    ]
