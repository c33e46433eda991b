"""Which channels the wavelet attention raises and lowers, by class."""

from __future__ import annotations

import os
from collections.abc import Sequence

import keras
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kerafer.errors import UserError
from kerafer.explain.inputs import BATCH_SIZE, checked_images
from kerafer.explain.wavelets import find_gates
from kerafer.figures import save_figure
from kerafer.models.graph import find_calls


def channel_weights(
    model: keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
) -> pd.DataFrame:
    """The mean weight that wavelet attention gives each channel, by class.

    Args:
        model: With wavelet attention layers, not inside inner models.
        images: Values 0 to 255, of shape `(images, height, width,
            channels)`.
        labels: Class index of every image.
        class_names: In the order of the indices.

    Returns:
        One row for each layer, class that has images and channel: `layer`,
        `class`, `n_images` (how many the class has), `channel`, `gate` (the
        weight, 0 to 1, its mean over the class' images), `mean` (of the
        channel over these classes, each counting the same) and `difference`
        (`gate` less `mean`: above 0 the class raises the channel). Within a
        layer and class the channel that is raised most comes first.

    Raises:
        UserError: For a model without wavelets, images that it does not
            take, or labels that are not one class index an image.
    """
    inner = find_gates(model)
    calls = [one for one in find_calls(model) if one.layer in inner]
    if not calls:
        raise UserError(
            "The wavelet attention layers of an inner model are explained by "
            f"asking that model. {model.name} has them in inner models alone."
        )
    gates = [call.layer for call in calls]
    images = checked_images(model, images)
    labels = np.asarray(labels)
    names = tuple(class_names)
    if (
        labels.shape != (len(images),)
        or labels.dtype.kind not in "iu"
        or not np.isin(labels, range(len(names))).all()
    ):
        raise UserError(
            f"Labels are one class index, 0 to {len(names) - 1}, for each of "
            f"the {len(images)} images. Received: {labels.dtype} "
            f"{labels.shape}."
        )
    watched = keras.Model(model.inputs[0], [call.inputs[0] for call in calls])
    weights: list[list[np.ndarray]] = [[] for _ in gates]
    for at in range(0, len(images), BATCH_SIZE):
        features = watched.predict_on_batch(images[at : at + BATCH_SIZE])
        for found, gate, inputs in zip(
            weights, gates, keras.tree.flatten(features), strict=True
        ):
            found.append(keras.ops.convert_to_numpy(gate.gate(inputs)))
    tables = [
        _table(gate.name, np.concatenate(found).astype(np.float64), labels)
        for gate, found in zip(gates, weights, strict=True)
    ]
    table = pd.concat(tables, ignore_index=True)
    return table.assign(**{"class": np.take(names, table["class"])})


def _table(layer: str, weights: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    classes = np.unique(labels)
    means = np.stack([weights[labels == one].mean(axis=0) for one in classes])
    mean = means.mean(axis=0)
    parts = []
    for one, gate in zip(classes, means, strict=True):
        order = np.argsort(mean - gate, kind="stable")
        parts.append(
            pd.DataFrame(
                {
                    "layer": layer,
                    "class": one,
                    "n_images": np.count_nonzero(labels == one),
                    "channel": order,
                    "gate": gate[order],
                    "mean": mean[order],
                    "difference": (gate - mean)[order],
                }
            )
        )
    return pd.concat(parts)


def plot_channels(table: pd.DataFrame, file: str | os.PathLike) -> None:
    """Draw which channels each class raises and lowers.

    Channels are sorted by the class that raises them most, within it from the
    most to the least.

    Args:
        table: Of `channel_weights`.
        file: A .png to write.
    """
    layers = table["layer"].unique()
    classes = list(table["class"].unique())
    counts = table.groupby("class")["n_images"].first()
    figure = Figure(
        figsize=(11, (1.9 + 0.32 * len(classes)) * len(layers)),
        layout="constrained",
    )
    grid = figure.subplots(
        2 * len(layers), 1, height_ratios=[1, 0.3 * len(classes)] * len(layers)
    )
    for row, layer in enumerate(layers):
        here = table[table["layer"] == layer]
        differences = here.pivot(
            index="class", columns="channel", values="difference"
        ).loc[classes]
        means = here.groupby("channel")["mean"].first()
        values = differences.to_numpy()
        order = np.lexsort((-values.max(axis=0), values.argmax(axis=0)))
        above, below = grid[2 * row], grid[2 * row + 1]
        above.bar(range(len(order)), means.to_numpy()[order], width=1.0)
        above.set(
            title=f"{layer}: weight of its {len(order)} channels",
            ylabel="mean",
            xlim=(-0.5, len(order) - 0.5),
            ylim=(0, 1),
        )
        above.set_xticks([])
        above.spines[["top", "right"]].set_visible(False)
        largest = max(float(np.abs(values).max()), 1e-6)
        image = below.imshow(
            values[:, order],
            aspect="auto",
            cmap="RdBu_r",
            vmin=-largest,
            vmax=largest,
            interpolation="nearest",
        )
        below.set_yticks(
            range(len(classes)),
            [f"{name} ({counts[name]})" for name in classes],
        )
        below.set_ylabel("class (images)")
        below.set_xticks([])
        below.set_xlabel("channels, by the class that raises them most")
        figure.colorbar(
            image, ax=below, label="against the mean\nof the classes", pad=0.01
        )
    save_figure(figure, file)
