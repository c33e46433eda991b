"""The article's figures by number."""

from __future__ import annotations

import dataclasses
import functools
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from matplotlib.figure import Figure

from kerafer.datasets import Dataset
from kerafer.datasets.decoded import decode_as
from kerafer.errors import ConfigError, UserError
from kerafer.figures import COLOURS, save_figure
from kerafer.reproduction.ablations import Variant, ablations
from kerafer.reproduction.plan import Plan
from kerafer.untrusted import read_json


@dataclasses.dataclass(frozen=True)
class FigureKind:
    """What a figure of the article shows.

    Args:
        kind: `"structure"`, `"samples"`, `"curves"`, `"confusion"` or
            `"attention"`.
        title: For the reader.
        models: Registry names.
        group: The ablation whose models are shown, in place of `models`.
        dataset: The article's data set; `None` for none, or both.
    """

    kind: str
    title: str
    models: tuple[str, ...] = ()
    group: str | None = None
    dataset: str | None = None

    @property
    def shows_images(self) -> bool:
        """Whether it shows images of the data set."""
        return self.kind in ("samples", "attention")

    def variants(self) -> tuple[Variant, ...]:
        """The models whose runs it shows."""
        if self.group:
            return ablations()[self.group].variants
        if self.kind == "structure":
            return ()
        known = ablations()["cnn"].variants + ablations()["resnet18"].variants
        return tuple(v for v in known if v.arch in self.models)


@functools.cache
def all_figures() -> dict[int, FigureKind]:
    """The figures of the article by number."""
    text = (files("kerafer.reproduction") / "figures.yaml").read_text("utf-8")
    return {n: FigureKind(**line) for n, line in yaml.safe_load(text).items()}


def figure_kind(number: int, dataset: str) -> FigureKind:
    """Find what a figure shows; raise a UserError if it cannot be drawn."""
    kind = all_figures().get(number)
    if kind is None:
        raise UserError(
            f"There is no figure {number}. Choose from 1 to 19, but not 7: the "
            "documentation of kerafer.layers.WaveletChannelAttention has it."
        )
    others = {"kdef": "FESR", "fesr": "KDEF"}
    if kind.dataset and kind.dataset == others.get(dataset):
        raise ConfigError(
            f"Figure {number} is the article's for {kind.dataset}. "
            f"Received: `dataset` {dataset}."
        )
    return kind


def default_figures(dataset: str) -> list[int]:
    """The figures of a data set; data sets other than FESR get KDEF's."""
    mine = "FESR" if dataset == "fesr" else "KDEF"
    known = all_figures()
    return [n for n in range(10, 20) if known[n].dataset in (None, mine)]


def draw_figure(
    kind: FigureKind,
    file: Path,
    plan: Plan,
    data: Dataset | None = None,
) -> bool:
    """Write one figure as a .png, if there is anything to draw.

    Args:
        kind: The figure.
        file: To write.
        plan: All runs.
        data: The data set, for figures that show its images.
    """
    if kind.kind == "structure":
        from kerafer.models import create_model
        from kerafer.reproduction.structure_drawing import draw_structure

        draw_structure(create_model(kind.models[0]), file)
        return True
    if kind.kind == "samples" and data is not None:
        _draw_samples(data, decode_as(data, plan.base).pixels, file)
        return True
    runs = {
        variant.name: [training.folder for training in plan.finished(variant)]
        for variant in kind.variants()
    }
    runs = {name: folders for name, folders in runs.items() if folders}
    if not runs:
        return False
    if kind.kind == "curves":
        _draw_curves(runs, kind.title, file)
    elif kind.kind == "confusion":
        _draw_confusions(runs, file)
    elif data is not None:
        _draw_attention(runs, file, data, decode_as(data, plan.base).pixels)
    return True


def _draw_samples(dataset: Dataset, images: np.ndarray, file: Path) -> None:
    """Draw five images of each class, and their number."""
    generator, columns = np.random.default_rng(0), 5
    names = dataset.class_names
    figure = Figure(
        figsize=(1.3 * columns + 1.5, 1.3 * len(names)), layout="constrained"
    )
    grid = figure.subplots(len(names), columns, squeeze=False)
    for index, (row, name) in enumerate(zip(grid, names, strict=True)):
        rows = generator.permutation(np.flatnonzero(dataset.labels == index))
        label = f"{name}\n{len(rows):,} images"
        row[0].set_ylabel(label, rotation=0, ha="right", va="center")
        for axes in row:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for axes, chosen in zip(row, rows, strict=False):
            axes.imshow(images[chosen].squeeze(), cmap="gray")
    save_figure(figure, file)


def _draw_curves(runs: dict[str, list[Path]], title: str, file: Path) -> None:
    """Draw validation accuracy and loss, the mean over runs with a band."""
    histories = {
        name: [pd.read_csv(folder / "history.csv") for folder in folders]
        for name, folders in runs.items()
    }
    figure = Figure(figsize=(6.8, 3.4), layout="constrained")
    figure.suptitle(title, fontsize=11)
    for axes, name in zip(
        figure.subplots(1, 2), ("accuracy", "loss"), strict=True
    ):
        for index, (label, tables) in enumerate(histories.items()):
            curve = band([table[f"val_{name}"] for table in tables])
            epochs, colour = curve.index + 1, COLOURS[index % len(COLOURS)]
            ends = curve["min"], curve["max"]
            axes.plot(epochs, curve["mean"], ".-", label=label, color=colour)
            axes.fill_between(epochs, *ends, color=colour, alpha=0.15)
        axes.set(xlabel="epoch", ylabel=f"validation {name}")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=4,
        frameon=False,
        title="mean; band from the lowest to the highest run",
    )
    save_figure(figure, file)


def band(curves: list[pd.Series]) -> pd.DataFrame:
    """Compute `mean`, `min` and `max` over the curves that reach an epoch."""
    return pd.concat(curves, axis=1).agg(["mean", "min", "max"], axis=1)


def _draw_confusions(runs: dict[str, list[Path]], file: Path) -> None:
    """Draw a confusion matrix per model, summed over its runs."""
    from kerafer.evaluation.plots import draw_confusion

    tests = {
        f"{name}, runs: {len(folders)}": [
            read_json(folder / "metrics.json")["test"] for folder in folders
        ]
        for name, folders in runs.items()
    }
    class_names = tuple(next(iter(tests.values()))[0]["per_class"])
    columns = min(2, len(tests))
    rows = -(-len(tests) // columns)
    side = 1.6 + 0.66 * len(class_names)
    figure = Figure(figsize=(columns * side, rows * side), layout="constrained")
    for index, (name, of_runs) in enumerate(tests.items(), 1):
        axes = figure.add_subplot(rows, columns, index)
        total = np.sum([test["confusion"] for test in of_runs], axis=0)
        draw_confusion(axes, total, class_names)
        axes.set_title(name, fontsize=11)
    save_figure(figure, file)


def _draw_attention(
    runs: dict[str, list[Path]],
    file: Path,
    dataset: Dataset,
    images: np.ndarray,
) -> None:
    """Draw Grad-CAM of a test image of every class, of the first split."""
    from kerafer.datasets import read_split
    from kerafer.explain.sheet import explain_answers, plot_sheet
    from kerafer.inference import ModelBundle

    first = next(iter(runs.values()))[0]
    split = read_split(first / "split.csv", dataset).to_numpy()
    labels = np.where(split == "test", dataset.labels, -1)
    rows = [
        row
        for index in range(len(dataset.class_names))
        for row in np.flatnonzero(labels == index)[:1]
    ]
    shown = [images[row] for row in rows]
    models = [
        (name, explain_answers(ModelBundle.load(folders[0]), shown))
        for name, folders in runs.items()
    ]
    names = [dataset.class_names[labels[row]] for row in rows]
    plot_sheet(shown, models, file, names)
