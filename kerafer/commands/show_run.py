"""What `kerafer train` shows in the end."""

from __future__ import annotations

from rich.table import Table

from kerafer.console import console
from kerafer.workflows.run import Run


def show(run: Run) -> None:
    """Print the scores of a run's test part, and where everything is."""
    from kerafer.evaluation import classify

    found = run.predictions
    scores = classify(found.labels, found.probabilities, found.class_names)
    config, history = run.config, run.history
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
    for note in scores.notes():
        console.print(note, style="bold")
    console.print(
        f"Written to {run.path}: report.md, best.keras, metrics.json, "
        "curves.png, confusion.png, predictions.csv, history.csv, split.csv, "
        "config.yaml, "
        "versions.yaml, tensorboard/",
        soft_wrap=True,
    )
