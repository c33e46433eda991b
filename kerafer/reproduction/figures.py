"""The article's figures by number."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kerafer.datasets import Dataset
from kerafer.errors import ConfigError, UserError
from kerafer.figures import COLOURS, save_figure
from kerafer.reproduction.ablations import Variant, ablations
from kerafer.reproduction.plan import Training, find_runs
from kerafer.training.config import TrainingConfig
from kerafer.untrusted import read_json

_LINES = ("-", "--", "-.", ":")


@dataclasses.dataclass(frozen=True)
class FigureKind:
    """What a figure of the article shows.

    Args:
        title: For the reader.
        dataset: The article's data set; `None` for none, or both.
        arch: The model of a structure drawing.
        group: The ablation whose curves are drawn.
        variants: Models of confusion matrices and Grad-CAM.
        samples: Whether it shows the data.
    """

    title: str
    dataset: str | None = None
    arch: str | None = None
    group: str | None = None
    variants: tuple[str, ...] = ()
    samples: bool = False

    @property
    def shows_images(self) -> bool:
        """Whether it shows images of the data set."""
        return self.samples or self.shows_attention

    @property
    def shows_attention(self) -> bool:
        """Whether it is the Grad-CAM figure, which is of either data set."""
        return bool(self.variants) and self.dataset is None

    def needed_variants(self) -> tuple[Variant, ...]:
        """The models whose runs it needs."""
        groups = ablations()
        if self.group:
            return groups[self.group].variants
        known = groups["cnn"].variants + groups["resnet18"].variants
        return tuple(v for a in self.variants for v in known if v.arch == a)


_FOUR = ("cnn", "wca_mcnn", "resnet18", "msc_wca_resnet18")
_CNN_CURVES = "Validation curves of the CNN family"
_RESNET_CURVES = "Validation curves of the ResNet18 family"

FIGURES: dict[int, FigureKind] = {
    1: FigureKind("The CNN (AlexNet)", arch="cnn"),
    2: FigureKind("ResNet18", arch="resnet18"),
    3: FigureKind("MCNN", arch="mcnn"),
    4: FigureKind("MsC-ResNet18", arch="msc_resnet18"),
    5: FigureKind("wCA-CNN", arch="wca_cnn"),
    6: FigureKind("wCA-ResNet18", arch="wca_resnet18"),
    8: FigureKind("wCA-MCNN", arch="wca_mcnn"),
    9: FigureKind("MsC-wCA-ResNet18", arch="msc_wca_resnet18"),
    10: FigureKind("The images and their number", "FESR", samples=True),
    11: FigureKind("The images and their number", "KDEF", samples=True),
    12: FigureKind(_CNN_CURVES, "FESR", group="cnn"),
    13: FigureKind(_RESNET_CURVES, "FESR", group="resnet18"),
    14: FigureKind(_CNN_CURVES, "KDEF", group="cnn"),
    15: FigureKind(_RESNET_CURVES, "KDEF", group="resnet18"),
    16: FigureKind("Confusion matrix", "KDEF", variants=_FOUR),
    17: FigureKind("Confusion matrix", "FESR", variants=_FOUR),
    18: FigureKind("Validation curves of other methods", group="related"),
    19: FigureKind("Grad-CAM", variants=("wca_mcnn", "msc_wca_resnet18")),
}


def figure_kind(number: int, dataset: str) -> FigureKind:
    """Find what a figure shows.

    Raises:
        UserError: For a number without a figure, or a figure of the article's
            other data set.
    """
    kind = FIGURES.get(number)
    if kind is None:
        extra = (
            " Figure 7 is wCA itself: see the documentation of "
            "kerafer.layers.WaveletChannelAttention."
            if number == 7
            else ""
        )
        raise UserError(
            f"There is no figure {number} to make. Choose from 1 to 19, but "
            f"not 7.{extra}"
        )
    mine = dataset.upper()
    if mine in ("KDEF", "FESR") and kind.dataset not in (None, mine):
        raise ConfigError(
            f"Figure {number} is the article's for {kind.dataset}. "
            f"Received: `dataset` {dataset}."
        )
    return kind


def default_figures(dataset: str) -> list[int]:
    """The figures of a data set; data sets other than FESR get KDEF's."""
    mine = "FESR" if dataset == "fesr" else "KDEF"
    return [n for n in range(10, 20) if FIGURES[n].dataset in (None, mine)]


def draw_figure(
    kind: FigureKind,
    file: Path,
    base: TrainingConfig,
    runs: int,
    plan: list[Training],
    dataset: Dataset | None,
    images: np.ndarray | None,
) -> bool:
    """Draw one figure.

    Args:
        kind: The figure.
        file: A .png to write.
        base: The settings that the runs share.
        runs: Number of runs of each model.
        plan: All runs.
        dataset: The data set, for figures that show some of it.
        images: Its decoded images, for the same.

    Returns:
        Whether there was anything to draw.
    """
    if kind.arch:
        from kerafer.models import create_model
        from kerafer.reproduction.structure_drawing import draw_structure

        draw_structure(create_model(kind.arch), file)
        return True
    if kind.samples and dataset is not None and images is not None:
        plot_samples(images, dataset.labels, dataset.class_names, file)
        return True
    found = {}
    for variant in kind.needed_variants():
        trainings = find_runs(base, variant, runs, plan)
        if done := [t.folder for t in trainings if t.state == "done"]:
            found[variant.name] = done
    if not found:
        return False
    if kind.group:
        plot_bands(found, kind.title, file)
    elif kind.shows_attention and dataset is not None and images is not None:
        _draw_attention(found, file, dataset, images)
    else:
        _draw_confusions(found, file)
    return True


def plot_samples(
    images: np.ndarray,
    labels: np.ndarray,
    class_names: tuple[str, ...],
    file: str | os.PathLike,
) -> None:
    """Draw four images of each class and a bar for its count.

    Args:
        images: uint8 of shape `(images, height, width, 1 or 3)`.
        labels: Class index of every image.
        class_names: In the order of the indices.
        file: A .png to write.
    """
    generator, each = np.random.default_rng(0), 4
    figure = Figure(
        figsize=(1.3 * each + 5, 1.25 * len(class_names) + 0.4),
        layout="constrained",
    )
    grid = figure.add_gridspec(
        len(class_names), each + 1, width_ratios=[*[1.0] * each, 2.6]
    )
    for row, name in enumerate(class_names):
        chosen = generator.permutation(np.flatnonzero(labels == row))[:each]
        for column, index in enumerate(chosen):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(images[index].squeeze(), cmap="gray")
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if column == 0:
                axes.set_ylabel(name, rotation=0, ha="right", va="center")
    axes = figure.add_subplot(grid[:, each])
    counts = np.bincount(labels, minlength=len(class_names))
    bars = axes.barh(range(len(class_names)), counts, height=0.6)
    axes.bar_label(bars, padding=3)
    axes.set(
        yticks=[],
        ylim=(len(class_names) - 0.5, -0.5),
        xlim=(0, 1.2 * counts.max()),
        xlabel="images",
    )
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, file)


def plot_bands(
    runs: dict[str, list[Path]], title: str, file: str | os.PathLike
) -> None:
    """Draw validation accuracy and loss, the mean over runs with a band.

    Args:
        runs: The folders of each model's runs.
        title: Of the figure.
        file: A .png to write.
    """
    histories = {
        name: [pd.read_csv(folder / "history.csv") for folder in folders]
        for name, folders in runs.items()
    }
    figure = Figure(figsize=(6.8, 3.4), layout="constrained")
    figure.suptitle(title, fontsize=11)
    for axes, column, name in zip(
        figure.subplots(1, 2),
        ("val_accuracy", "val_loss"),
        ("validation accuracy", "validation loss"),
        strict=True,
    ):
        for place, (label, tables) in enumerate(histories.items()):
            mean, low, high = band([t[column].to_numpy() for t in tables])
            epochs = np.arange(1, len(mean) + 1)
            axes.plot(
                epochs,
                mean,
                _LINES[place % len(_LINES)],
                label=label,
                color=COLOURS[place % len(COLOURS)],
                marker="o" if len(mean) == 1 else None,
            )
            axes.fill_between(
                epochs, low, high, color=axes.lines[-1].get_color(), alpha=0.15
            )
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
    several = any(len(folders) > 1 for folders in runs.values())
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        title="mean; band from the lowest to the highest run"
        if several
        else None,
    )
    save_figure(figure, file)


def band(
    runs: list[np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, minimum and maximum at each epoch of runs of different length.

    Each is over the runs that were still going.
    """
    table = np.full((len(runs), max(map(len, runs))), np.nan)
    for row, run in zip(table, runs, strict=True):
        row[: len(run)] = run
    return (
        np.nanmean(table, axis=0),
        np.nanmin(table, axis=0),
        np.nanmax(table, axis=0),
    )


def _draw_confusions(found: dict[str, list[Path]], file: Path) -> None:
    """A confusion matrix per model, summed over its runs, two in a row."""
    from kerafer.evaluation.plots import draw_confusion

    columns = min(2, len(found))
    rows = -(-len(found) // columns)
    tests = {
        f"{name}, runs: {len(folders)}": [
            read_json(folder / "metrics.json")["test"] for folder in folders
        ]
        for name, folders in found.items()
    }
    class_names = tuple(next(iter(tests.values()))[0]["per_class"])
    side = 1.6 + 0.66 * len(class_names)
    figure = Figure(figsize=(columns * side, rows * side), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, of_runs) in zip(places, tests.items(), strict=False):
        total = np.sum([test["confusion"] for test in of_runs], axis=0)
        draw_confusion(axes, total, class_names)
        axes.set_title(name, fontsize=11)
    for axes in places[len(found) :]:
        axes.set_visible(False)
    save_figure(figure, file)


def _draw_attention(
    found: dict[str, list[Path]],
    file: Path,
    dataset: Dataset,
    images: np.ndarray,
) -> None:
    """Grad-CAM of a test image of every class, of the first run's split."""
    from kerafer.datasets import read_split
    from kerafer.explain.sheet import explain_answers, plot_sheet
    from kerafer.inference import ModelBundle

    first = next(iter(found.values()))[0]
    split = read_split(first / "split.csv", dataset).to_numpy()
    names, labels = dataset.class_names, dataset.labels
    rows = np.concatenate(
        [
            np.flatnonzero((split == "test") & (labels == index))[:1]
            for index in range(len(names))
        ]
    )
    shown = list(images[rows])
    plot_sheet(
        shown,
        [
            (name, explain_answers(ModelBundle.load(folders[0]), shown))
            for name, folders in found.items()
        ],
        file,
        [names[labels[row]] for row in rows],
    )
