"""The article's multi-scale stem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from kerafer.errors import UserError
from kerafer.layers import MultiScaleConv2D
from kerafer.layers.arguments import per_branch

_FILTERS = 64
# Kernel size and dilation of each.
Branches = list[tuple[int, int]]


class StemOptions(TypedDict, total=False):
    """Options of models with the multi-scale stem.

    Args:
        kernel_sizes: One odd kernel size, or one per branch. Default:
            `(3, 5, 7)`.
        dilation_rates: One dilation per branch. `(1, 2, 3)` with kernels
            `(3, 3, 3)` covers the same field as `(3, 5, 7)` at a third of the
            cost (27 taps instead of 83). Default: 1 for all.
        groups: 1, or the image's channels: then each filter sees one colour,
            at a third of the cost. Each branch has the largest multiple of
            `4 * groups` filters up to 64 (60 for three groups), so that an
            attention's ratio of 4 divides them. Default: 1.
    """

    kernel_sizes: int | Sequence[int]
    dilation_rates: int | Sequence[int] | None
    groups: int


def stem_branches(
    kernel_sizes: int | Sequence[int] = (3, 5, 7),
    dilation_rates: int | Sequence[int] | None = None,
) -> Branches:
    """Return the kernel size and the dilation of each branch of a stem.

    Raises:
        ValueError: If a list does not have one positive integer per branch.
    """
    if isinstance(kernel_sizes, int):
        kernel_sizes = (kernel_sizes,)
    sizes = per_branch("kernel_sizes", kernel_sizes)
    if dilation_rates is None:
        dilation_rates = (1,) * len(sizes)
    if isinstance(dilation_rates, int):
        dilation_rates = (dilation_rates,)
    rates = per_branch("dilation_rates", dilation_rates, len(sizes))
    return list(zip(sizes, rates, strict=True))


def make_stem(
    branches: Branches, groups: int, channels: int, **arguments: Any
) -> MultiScaleConv2D:
    """Make the first layer of a multi-scale model.

    Args:
        branches: As from `stem_branches`.
        groups: As in `StemOptions`.
        channels: Of the image.
        **arguments: Others of `MultiScaleConv2D`.

    Raises:
        ValueError: If the groups are neither 1 nor the channels, or the layer
            refuses an argument.
    """
    if groups not in (1, channels) or isinstance(groups, bool):
        raise ValueError(
            "`groups` must be 1 or the number of channels of the image. "
            f"Received: groups={groups!r}, channels={channels}"
        )
    sizes, rates = zip(*branches, strict=True)
    return MultiScaleConv2D(
        _FILTERS - _FILTERS % (4 * groups),
        kernel_sizes=sizes,
        dilation_rates=rates,
        groups=groups,
        **arguments,
    )


def split_finest(branches: Branches) -> tuple[Branches, Branches]:
    """Return the branch with the smallest field, and the others.

    Raises:
        UserError: If there is only one branch.
    """
    if len(branches) == 1:
        raise UserError(
            "stem=stride_2 needs two or more `kernel_sizes`: one branch at "
            f"full resolution, the others at stride 2. "
            f"Received: {branches[0][0]}."
        )
    finest = min(branches, key=lambda branch: (branch[0] - 1) * branch[1])
    others = list(branches)
    others.remove(finest)
    return [finest], others
