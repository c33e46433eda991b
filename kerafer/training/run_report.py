"""The report of a training."""

from __future__ import annotations

import json
import shlex
import shutil
from typing import TYPE_CHECKING

from rich.table import Table

from kerafer import markdown
from kerafer.console import console
from kerafer.engine import backend_name
from kerafer.settings import as_flags
from kerafer.training.config import TrainingConfig

if TYPE_CHECKING:
    import keras
    import pandas as pd

    from kerafer.datasets import Dataset
    from kerafer.evaluation import Predictions
    from kerafer.training.calibration import Calibration
    from kerafer.training.run import Run


def write_run(
    run: Run,
    precision: str,
    model: keras.Model,
    data: Dataset,
    history: pd.DataFrame,
    predictions: Predictions,
    calibration: Calibration,
) -> None:
    """Write figures, report and scores, and remove the backup.

    `metrics.json` comes last, because it marks a run as finished.
    """
    from kerafer.datasets.specs import face_margin
    from kerafer.evaluation import classify, complexity, score
    from kerafer.evaluation.plots import plot_confusion, plot_history
    from kerafer.evaluation.report import scores_section
    from kerafer.files import write_text
    from kerafer.models.registry import find_model
    from kerafer.versions import versions

    config, folder = run.config, run.path
    machine = versions()
    found = (
        predictions.labels,
        predictions.probabilities,
        predictions.class_names,
    )
    scores = classify(*found)
    plot_history(history, folder / "curves.png")
    plot_confusion(scores.confusion, data.class_names, folder / "confusion.png")
    parameters, macs = complexity(model)
    counts = data.manifest["split"].value_counts()
    speed = history["images_per_second"].median()
    seconds = history["seconds"].sum()
    facts = {
        "model": f"`{config.arch}`, {parameters / 1e6:.4f} M parameters, "
        f"{macs / 1e9:.4f} G multiply-adds (the article's counting)",
        "images": f"{config.image_size} x {config.image_size}, "
        f"{'colour' if config.channels == 3 else 'gray'}; "
        + ", ".join(f"{n:,} {part}" for part, n in counts.items()),
        "split": f"{data.split_name}, seed {config.seed}",
        "data": data.source,
        "terms of the data": data.licence,
        "training": f"{len(history)} epochs in {seconds / 60:.1f} minutes, "
        f"{speed:.1f} images/s (median of epochs), {precision}",
        "machine": f"{machine['processor']}, {machine['cores']} cores",
        "versions": f"kerafer {machine['kerafer']}, "
        f"{backend_name()} {machine[backend_name()]}, keras {machine['keras']}",
    }
    if (reference := find_model(config.arch).reference) is not None:
        facts["architecture from"] = reference
    if data.has_shares:
        facts["labels"] = "soft labels; scored by the most frequent class"
    if (changes := calibration.describe()) is not None:
        facts["probabilities"] = changes
    # One image has no interval.
    several = len(predictions.labels) > 1
    best = int(history["val_loss"].argmin())
    page = markdown.render(
        "evaluation/templates/run.md.j2",
        title=f"{config.arch} on {config.dataset}",
        test=scores,
        n_images=len(predictions.labels),
        best_epoch=best + 1,
        epochs=len(history),
        val_loss=history["val_loss"][best],
        notes=data.notes,
        section=scores_section(score(*found, predictions.subjects).as_dict())
        if several
        else "",
        named=facts,
        command=_command(config),
    )
    write_text(folder / "report.md", page)
    metrics = {
        "test": scores.as_dict(),
        "best_epoch": best + 1,
        "epochs": len(history),
        "val_loss": float(history["val_loss"].min()),
        "split": data.split_name,
        "notes": [*scores.notes(), *data.notes],
        "parameters": parameters,
        "macs": macs,
        "precision": precision,
        "face_margin": face_margin(
            data.margin, config.face_crop, config.face_margin
        ),
        "seconds": seconds,
        "images_per_second": speed,
        **calibration.as_dict(),
    }
    write_text(folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
    shutil.rmtree(folder / "backup", ignore_errors=True)


def _command(config: TrainingConfig) -> str:
    flags = as_flags(config, always=("dataset", "arch"))
    return shlex.join(["kerafer", "train", *flags])


def show_run(run: Run) -> None:
    """Print the scores of a run on its test images."""
    from kerafer.evaluation import classify

    found = run.predictions
    scores = classify(found.labels, found.probabilities, found.class_names)
    config, metrics = run.config, run.metrics
    count = len(found.labels)
    table = Table(
        title=f"{config.arch} on {count} test images of {config.dataset}"
    )
    table.add_column("class")
    for name in ("precision", "recall", "F1", "images"):
        table.add_column(name, justify="right")
    columns = ["precision", "recall", "f1"]
    for name, row in scores.per_class.iterrows():
        values = [f"{row[column]:.3f}" for column in columns]
        table.add_row(name, *values, f"{row.support:.0f}")
    table.add_section()
    macro = [f"{scores.macro[column]:.3f}" for column in columns]
    table.add_row("mean of classes", *macro, str(count))
    console.print(table)
    console.print(
        f"Accuracy {scores.accuracy:.3f} with the weights of epoch "
        f"{metrics['best_epoch']} of {metrics['epochs']}."
    )
    for note in scores.notes():
        console.print(note, style="bold")
    console.print(
        f"Saved {run.path}: report.md, best.keras, metrics.json, "
        "curves.png, confusion.png, predictions.csv, history.csv, ...",
        soft_wrap=True,
    )
