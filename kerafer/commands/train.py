"""`kerafer train`: data, model, training, test, report."""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from kerafer.console import console
from kerafer.engine import load_tensorflow
from kerafer.errors import UserError
from kerafer.files import written_beside
from kerafer.settings import add_flags, as_flags, from_flags
from kerafer.training.config import TrainingConfig
from kerafer.training.processes import ALONE, Processes
from kerafer.training.recipes import find_recipe

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pandas as pd

    from kerafer.commands.pictures import Pictures
    from kerafer.evaluation import Classification
    from kerafer.training.distillation import Distillation
    from kerafer.training.run_folder import RunFolder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_flags(parser, TrainingConfig)
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="YAML file with any of these settings, or paper or strong, the "
        "recipes of this package; flags override it",
    )
    parser.add_argument(
        "--folds",
        metavar="N",
        type=int,
        help="train N times, each with another Nth of the people as test part",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="the run's folder (default: runs/<arch>-<dataset>-<time>)",
    )
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with an interrupted run, with its own settings",
    )
    parser.add_argument(
        "--devices",
        choices=("one", "all"),
        help="whether every GPU of this machine takes a share of each batch "
        "(default: one)",
    )
    parser.add_argument(
        "--num-processes",
        metavar="N",
        type=int,
        help="how many processes train this model together, on Keras' JAX "
        "backend",
    )
    parser.add_argument(
        "--process-id",
        metavar="I",
        type=int,
        help="which of them this one is, from 0, which writes the run's folder",
    )
    parser.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="address of the first of them, where all meet",
    )


# How a training is run, not what it computes: a run may go on otherwise.
_PLACES = ("devices", "num_processes", "process_id", "coordinator")


def run(parsed: argparse.Namespace) -> int:
    """Train, or go on training, and test."""
    config = _configuration(parsed)
    processes = Processes.from_flags(
        parsed.num_processes, parsed.process_id, parsed.coordinator
    )
    processes.check(config.batch_size)
    if processes.count > 1 and (parsed.folds or parsed.devices == "all"):
        other = "--folds" if parsed.folds else "--devices all"
        raise UserError(
            "Several processes train one model on all they have; one fold is "
            f"--split fold-1-of-5. Received: --num-processes with {other}."
        )
    # TensorFlow takes seconds to import; mistakes above come without it.
    load_tensorflow()
    from kerafer.training.replicas import all_devices

    if parsed.devices == "all":
        with all_devices():
            return _train_one_or_all_folds(config, parsed)
    if processes.count > 1:
        return _train_together(config, parsed, processes)
    return _train_one_or_all_folds(config, parsed)


def _train_one_or_all_folds(
    config: TrainingConfig, parsed: argparse.Namespace
) -> int:
    if parsed.folds is not None:
        return _cross_validate(config, parsed)
    return _run(config, parsed.out, parsed.resume)


def _train_together(
    config: TrainingConfig, parsed: argparse.Namespace, processes: Processes
) -> int:
    """Train as one of several processes."""
    from kerafer.training.run_folder import RunFolder

    if processes.is_first:
        if parsed.out and not parsed.resume:
            RunFolder.check_free(parsed.out)
        with processes:
            return _run(config, parsed.out, parsed.resume, processes)
    # What is computed of one model, all processes compute; a folder of its own
    # lets each one do so. That of the first is kept.
    console.quiet = True
    with tempfile.TemporaryDirectory(prefix="kerafer-") as scratch, processes:
        folder = Path(scratch) / "run"
        if parsed.resume:
            shutil.copytree(parsed.resume, folder)
        resume = str(folder) if parsed.resume else None
        return _run(config, str(folder), resume, processes)


def _run(
    config: TrainingConfig,
    out: str | None,
    resume: str | None,
    processes: Processes = ALONE,
) -> int:
    from kerafer.commands.pictures import find_pictures
    from kerafer.models.registry import find_builder
    from kerafer.training.devices import prepare
    from kerafer.training.precision import resolve_precision
    from kerafer.training.run_folder import RunFolder

    options = config.model_options
    find_builder(config.arch, options)
    if resume:
        folder, _ = RunFolder.open(resume)
        split = folder.split if folder.split.exists() else None
        pictures = find_pictures(config, split)
    else:
        if out:
            RunFolder.check_free(out)
        pictures = find_pictures(config)
    precision = resolve_precision(config.precision)
    prepare(config.seed, config.deterministic, precision)
    model = _model(config, options, pictures)
    distillation = _distillation(config, pictures)
    if not resume:
        folder = RunFolder.create(config, out)
    try:
        return _train(
            config, precision, model, distillation, pictures, folder, processes
        )
    except KeyboardInterrupt:
        print(
            "kerafer train: interrupted; the epochs that were over are kept. "
            f"Go on with\n    kerafer train --resume {folder.path}",
            file=sys.stderr,
        )
        return 130


def _configuration(parsed: argparse.Namespace) -> TrainingConfig:
    if not parsed.resume:
        file = parsed.config and find_recipe(parsed.config)
        return from_flags(TrainingConfig, parsed, file)
    from kerafer.training.run_folder import RunFolder

    others = set(vars(parsed)) - {"command", "run", "resume", *_PLACES}
    others = [name for name in others if getattr(parsed, name) is not None]
    if others:
        flags = ", ".join(f"--{n.replace('_', '-')}" for n in sorted(others))
        raise UserError(
            "A run goes on with its own settings; --resume stands alone. "
            f"Received: {flags}."
        )
    folder, config = RunFolder.open(parsed.resume)
    if folder.metrics.exists():
        raise UserError(
            f"Only an interrupted run can go on. {parsed.resume} is over; "
            f"see {folder.report}."
        )
    return config


def _cross_validate(config: TrainingConfig, parsed: argparse.Namespace) -> int:
    """Train each fold that is not over yet, and tell of all."""
    from kerafer.training.run_folder import RunFolder

    count = parsed.folds
    if count < 2:
        raise UserError(f"--folds is 2 or more. Received: {count}.")
    if config.split:
        raise UserError(
            "--folds divides the pictures itself; --split is left out. "
            f"Received: --split {config.split}."
        )
    out = Path(
        parsed.out or f"runs/{config.arch}-{config.dataset}-{count}-folds"
    )
    runs = []
    import keras

    for fold in range(1, count + 1):
        # The model of the fold before, and what was traced for it.
        keras.backend.clear_session()
        own = dataclasses.replace(config, split=f"fold-{fold}-of-{count}")
        run = RunFolder(out / f"fold-{fold}")
        runs.append(run.path)
        begun = run.config.is_file()
        if begun and RunFolder.open(run.path)[1] != own:
            raise UserError(
                "The folds of one cross-validation have the same settings. "
                f"There are others in {run.path}; take another --out."
            )
        if run.metrics.is_file():
            console.print(f"{run.path} is over already.")
            continue
        console.print(f"Fold {fold} of {count}")
        code = _run(own, str(run.path), str(run.path) if begun else None)
        if code:
            return code
    from kerafer.evaluation.cross_validation import CrossValidation
    from kerafer.files import write_text
    from kerafer.tables import write_table

    done = CrossValidation(runs)
    write_table(out / "folds.csv", done.table())
    write_text(out / "report.md", done.report())
    console.print(f"Written to {out}: report.md, folds.csv")
    return 0


def _model(
    config: TrainingConfig, options: dict[str, object], pictures: Pictures
) -> keras.Model:
    model = _untrained(config, options, len(pictures.dataset.class_names))
    if not config.init_from:
        return model
    from kerafer.models import load_model
    from kerafer.models.transfer import copy_weights, freeze_until

    _check_unseen(config.init_from, "--init-from", pictures)
    source = load_model(config.init_from)
    done = copy_weights(
        model, source, _classifiers(config.init_from, source, model, pictures)
    )
    console.print(
        f"Weights of {len(done.copied)} layers from {config.init_from}; "
        f"fresh: {', '.join(done.fresh) or 'none'}."
    )
    if config.freeze_until:
        freeze_until(model, config.freeze_until, done.fresh)
    return model


def _classifiers(
    name: str, source: keras.Model, model: keras.Model, pictures: Pictures
) -> list[str]:
    """The layers whose outputs are classes, if the source has other ones."""
    try:
        labels = _labels(name, source)
    except UserError:
        # Nothing beside the file says which classes it knows.
        labels = ()
    if labels == tuple(pictures.dataset.class_names):
        return []
    return [x.name for x in model.layers if x.name.endswith("logits")]


def _labels(name: str, model: keras.Model) -> tuple[str, ...]:
    """The classes of a model, which is a run or a file."""
    from kerafer.runtime.labels import find_labels

    path = Path(name)
    file = path / "best.keras" if path.is_dir() else path
    return find_labels(file, model.output_shape[-1])


def _check_unseen(model: str, flag: str, pictures: Pictures) -> None:
    from kerafer.training.leakage import check_unseen

    path = Path(model)
    check_unseen(
        path if path.is_dir() else path.parent,
        pictures.dataset.name,
        pictures.dataset.manifest["path"],
        pictures.split,
        flag,
    )


def _distillation(
    config: TrainingConfig, pictures: Pictures
) -> Distillation | None:
    if not config.teachers:
        return None
    from kerafer.evaluation.predictions import column_order
    from kerafer.models import load_model
    from kerafer.training.distillation import Distillation

    teachers, orders = [], []
    for name in config.teachers:
        _check_unseen(name, "--teacher", pictures)
        teacher = load_model(name)
        teacher.trainable = False
        labels = _labels(name, teacher)
        orders.append(column_order(labels, pictures.dataset.class_names))
        teachers.append(teacher)
    return Distillation(
        teachers, orders, config.distill_alpha, config.temperature
    )


def _untrained(
    config: TrainingConfig, options: dict[str, object], num_classes: int
) -> keras.Model:
    from kerafer.models import create_model

    shape = (config.image_size, config.image_size, config.channels)
    try:
        return create_model(config.arch, num_classes, shape, **options)
    except (ValueError, TypeError) as error:
        if isinstance(error, UserError) or not options:
            raise
        raise UserError(f"--options {config.options}: {error}") from error


def _train(
    config: TrainingConfig,
    precision: str,
    model: keras.Model,
    distillation: Distillation | None,
    pictures: Pictures,
    folder: RunFolder,
    processes: Processes,
) -> int:
    from kerafer.data import write_split
    from kerafer.data.pipeline import TrainingBatches, evaluation_batches
    from kerafer.evaluation import classify
    from kerafer.evaluation.predictions import (
        Predictions,
        checked_probabilities,
    )
    from kerafer.models import load_model
    from kerafer.training.fit import fit

    dataset = pictures.dataset
    write_split(folder.split, dataset, pictures.split)
    images = pictures.decode(config)
    rows = {part: _rows(pictures, part) for part in set(pictures.split)}
    labels, num_classes = dataset.labels, len(dataset.class_names)
    console.print(
        f"{config.arch}: {model.count_params():,} parameters, {precision}, "
        f"in {folder.path}"
    )
    history = fit(
        model,
        TrainingBatches(
            images,
            labels,
            num_classes,
            config.batch_size,
            config.seed,
            config.augment,
            rows["train"],
            config.mix,
            config.mix_alpha,
            _taught(config, distillation, images, rows["train"], folder)
            if processes.count == 1
            else None,
            (processes.index, processes.count),
        ),
        evaluation_batches(
            images, labels, num_classes, config.batch_size, rows["validation"]
        ),
        labels[rows["train"]],
        config,
        folder.path,
        distillation,
    )
    if processes.count > 1:
        processes.part()
        if not processes.is_first:
            return 0
    best = load_model(folder.best)
    test = rows["test"]
    batches = evaluation_batches(
        images, labels, num_classes, config.batch_size, test
    )
    probabilities = best.predict(batches, verbose=0)
    scores = classify(labels[test], probabilities, dataset.class_names)
    Predictions(
        dataset.manifest["path"].to_numpy()[test],
        labels[test],
        checked_probabilities(probabilities, str(folder.best)),
        dataset.class_names,
    ).write(folder.predictions)
    _write(config, precision, best, pictures, folder, history, scores)
    _show(config, folder, history, scores)
    return 0


def _taught(
    config: TrainingConfig,
    distillation: Distillation | None,
    images: np.ndarray,
    rows: np.ndarray,
    folder: RunFolder,
) -> np.ndarray | None:
    """What the teachers say of every picture, where it never changes.

    Pictures that are augmented or mixed are others in every epoch; of those
    the teachers are asked in the step.
    """
    import numpy as np

    if distillation is None or (config.augment, config.mix) != ("none",) * 2:
        return None
    if folder.taught.is_file():
        return np.load(folder.taught, allow_pickle=False)
    console.print("The teachers are asked once of every picture.")
    taught = np.zeros((len(images), distillation.classes), np.float32)
    taught[rows] = distillation.teach_all(images, rows, config.batch_size)
    with written_beside(folder.taught) as beside, open(beside, "wb") as file:
        np.save(file, taught)
    return taught


def _rows(pictures: Pictures, part: str) -> np.ndarray:
    import numpy as np

    return np.flatnonzero(pictures.split.to_numpy() == part)


def _write(
    config: TrainingConfig,
    precision: str,
    model: keras.Model,
    pictures: Pictures,
    folder: RunFolder,
    history: pd.DataFrame,
    scores: Classification,
) -> None:
    from kerafer.evaluation import complexity
    from kerafer.evaluation.plots import plot_confusion, plot_history
    from kerafer.evaluation.report import report
    from kerafer.files import write_text
    from kerafer.versions import versions

    dataset, machine = pictures.dataset, versions()
    plot_history(history, folder.curves)
    plot_confusion(scores.confusion, dataset.class_names, folder.confusion)
    parameters, macs = complexity(model)
    counts = pictures.split.value_counts()
    speed = history["images_per_second"].median()
    seconds = history["seconds"].sum()
    facts = {
        "model": f"`{config.arch}`, {parameters / 1e6:.4f} M parameters, "
        f"{macs / 1e9:.4f} G multiply-adds (the article's counting)",
        "pictures": f"{config.image_size} x {config.image_size}, "
        f"{'colour' if config.channels == 3 else 'gray'}; "
        + ", ".join(f"{n:,} {part}" for part, n in counts.items()),
        "split": f"{pictures.split_name}, seed {config.seed}",
        "data": dataset.source,
        "terms of the data": dataset.licence,
        "training": f"{len(history)} epochs in {seconds / 60:.1f} minutes, "
        f"{speed:.1f} images/s (median of epochs), {precision}",
        "machine": f"{machine['processor']}, {machine['cores']} cores",
        "versions": f"kerafer {machine['kerafer']}, tensorflow "
        f"{machine['tensorflow']}, keras {machine['keras']}",
    }
    title = f"{config.arch} on {config.dataset}"
    write_text(
        folder.report,
        report(title, facts, scores, history, pictures.notes, _command(config)),
    )
    metrics = {
        "test": scores.as_dict(),
        "best_epoch": int(history["val_loss"].argmin()) + 1,
        "epochs": len(history),
        "val_loss": float(history["val_loss"].min()),
        "split": pictures.split_name,
        "notes": pictures.notes,
        "parameters": parameters,
        "macs": macs,
        "precision": precision,
        "seconds": seconds,
        "images_per_second": speed,
    }
    write_text(folder.metrics, json.dumps(metrics, indent=2) + "\n")
    shutil.rmtree(folder.path / "backup", ignore_errors=True)
    folder.taught.unlink(missing_ok=True)


def _command(config: TrainingConfig) -> str:
    flags = as_flags(config, always=("dataset", "arch"))
    return shlex.join(["python", "scripts/train.py", *flags])


def _show(
    config: TrainingConfig,
    folder: RunFolder,
    history: pd.DataFrame,
    scores: Classification,
) -> None:
    count = int(scores.confusion.sum())
    table = Table(
        title=f"{config.arch} on {count} test pictures of {config.dataset}"
    )
    table.add_column("class")
    for name in ("precision", "recall", "F1", "pictures"):
        table.add_column(name, justify="right")
    for name, row in scores.per_class.iterrows():
        table.add_row(
            name,
            f"{row.precision:.3f}",
            f"{row.recall:.3f}",
            f"{row.f1:.3f}",
            f"{row.support:.0f}",
        )
    table.add_section()
    macro = [f"{scores.macro[n]:.3f}" for n in ("precision", "recall", "f1")]
    table.add_row("mean of classes", *macro, str(count))
    console.print(table)
    console.print(
        f"Accuracy {scores.accuracy:.3f} with the weights of epoch "
        f"{int(history['val_loss'].argmin()) + 1} of {len(history)}."
    )
    console.print(
        f"Written to {folder.path}: report.md, best.keras, metrics.json, "
        "curves.png, confusion.png, predictions.csv, history.csv, split.csv, "
        "config.yaml, "
        "versions.yaml, tensorboard/",
        soft_wrap=True,
    )
