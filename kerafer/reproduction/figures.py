"""The article's figures by number."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from kerafer.datasets import Dataset
from kerafer.errors import ConfigError, UserError
from kerafer.foreign import read_json
from kerafer.reproduction.ablations import Variant, ablations
from kerafer.reproduction.plan import Training, find_runs
from kerafer.training.config import TrainingConfig


@dataclasses.dataclass(frozen=True)
class FigureKind:
    """What a figure of the article shows.

    Args:
        title: For the reader.
        dataset: The article's data set; `None` where it takes none, or both.
        arch: The model of a drawing.
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
        """Whether some of the data set's images are drawn."""
        return self.samples or self.shows_attention

    @property
    def shows_attention(self) -> bool:
        """Whether it is Grad-CAM, which is of either data set."""
        return bool(self.variants) and self.dataset is None


_FOUR = ("cnn", "wca_mcnn", "resnet18", "msc_wca_resnet18")
_TWO = ("wca_mcnn", "msc_wca_resnet18")

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
    12: FigureKind("Validation curves of the CNN family", "FESR", group="cnn"),
    13: FigureKind(
        "Validation curves of the ResNet18 family", "FESR", group="resnet18"
    ),
    14: FigureKind("Validation curves of the CNN family", "KDEF", group="cnn"),
    15: FigureKind(
        "Validation curves of the ResNet18 family", "KDEF", group="resnet18"
    ),
    16: FigureKind("Confusion matrix", "KDEF", variants=_FOUR),
    17: FigureKind("Confusion matrix", "FESR", variants=_FOUR),
    18: FigureKind("Validation curves of other methods", group="related"),
    19: FigureKind("Where the models look (Grad-CAM)", variants=_TWO),
}


def figure_kind(number: int, dataset: str) -> FigureKind:
    """What a figure shows.

    Raises:
        UserError: For a number without a figure here, or a figure of the
            article's other data set.
    """
    kind = FIGURES.get(number)
    if kind is None:
        extra = (
            " Figure 7, wCA itself, is the formula in the documentation of "
            "kerafer.layers.WaveletChannelAttention."
            if number == 7
            else ""
        )
        raise UserError(
            f"Figures are made of 1 to 19 but 7. Received: {number}.{extra}"
        )
    mine = dataset.upper()
    if mine in ("KDEF", "FESR") and kind.dataset not in (None, mine):
        raise ConfigError(
            f"Figure {number} is the article's for {kind.dataset}. "
            f"Received: `dataset` {dataset}."
        )
    return kind


def default_figures(dataset: str) -> list[int]:
    """The figures of a data set; others than FESR get KDEF's."""
    mine = "FESR" if dataset == "fesr" else "KDEF"
    return [
        number
        for number, kind in FIGURES.items()
        if number >= 10 and kind.dataset in (None, mine)
    ]


def needed_variants(kind: FigureKind) -> tuple[Variant, ...]:
    """The models whose runs a figure needs."""
    if kind.group:
        return ablations()[kind.group].variants
    return tuple(
        variant
        for arch in kind.variants
        for variant in _article_variants()
        if variant.arch == arch
    )


def _article_variants() -> tuple[Variant, ...]:
    groups = ablations()
    return groups["cnn"].variants + groups["resnet18"].variants


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
        kind: Which.
        file: A .png to write.
        base: The settings that the runs share.
        runs: How many of each model were asked for.
        plan: All runs.
        dataset: The data set, for those figures that show some of it.
        images: Its images, decoded, likewise.

    Returns:
        Whether there was something to draw.
    """
    if kind.arch:
        from kerafer.models import create_model
        from kerafer.reproduction.structure_drawing import draw_structure

        draw_structure(create_model(kind.arch), file)
        return True
    if kind.samples and dataset is not None and images is not None:
        from kerafer.reproduction.sheets import plot_samples

        plot_samples(images, dataset.labels, dataset.class_names, file)
        return True
    found = {
        variant.name: [
            t for t in find_runs(base, variant, runs, plan) if t.state == "done"
        ]
        for variant in needed_variants(kind)
    }
    found = {name: list_ for name, list_ in found.items() if list_}
    if not found:
        return False
    if kind.group:
        _curves(kind, found, file)
    elif kind.shows_attention and dataset is not None and images is not None:
        _attention(found, file, dataset, images)
    else:
        _confusions(found, file)
    return True


def _curves(
    kind: FigureKind, found: dict[str, list[Training]], file: Path
) -> None:
    from kerafer.reproduction.curves import plot_bands

    plot_bands(
        {
            name: [pd.read_csv(run.folder / "history.csv") for run in list_]
            for name, list_ in found.items()
        },
        kind.title,
        file,
    )


def _confusions(found: dict[str, list[Training]], file: Path) -> None:
    from kerafer.reproduction.sheets import plot_confusions

    sums, names = {}, ()
    for name, list_ in found.items():
        tests = [_metrics(run)["test"] for run in list_]
        names = tuple(tests[0]["per_class"])
        sums[f"{name}, runs: {len(list_)}"] = np.sum(
            [test["confusion"] for test in tests], axis=0
        )
    plot_confusions(sums, names, file)


def _attention(
    found: dict[str, list[Training]],
    file: Path,
    dataset: Dataset,
    images: np.ndarray,
) -> None:
    """A test image of every class, of the first run's split."""
    from kerafer.datasets import read_split
    from kerafer.explain import cam_sheet
    from kerafer.models import load_model

    first = next(iter(found.values()))[0]
    split = read_split(first.folder / "split.csv", dataset).to_numpy()
    labels = dataset.labels
    rows = np.concatenate(
        [
            np.flatnonzero((split == "test") & (labels == index))[:1]
            for index in range(len(dataset.class_names))
        ]
    )
    cam_sheet(
        {
            name: load_model(list_[0].folder / "best.keras")
            for name, list_ in found.items()
        },
        np.ascontiguousarray(images[rows]),
        [dataset.class_names[labels[row]] for row in rows],
        dataset.class_names,
        file,
    )


def _metrics(training: Training) -> dict:
    return read_json(training.folder / "metrics.json")
