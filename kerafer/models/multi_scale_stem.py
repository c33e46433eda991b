"""The multi-scale stem of a model, as a user asks for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from kerafer.errors import UserError
from kerafer.layers import MultiScaleConv2D
from kerafer.layers.arguments import per_branch

_FILTERS = 64


def as_branches(
    values: int | Sequence[int], name: str = "kernel_sizes"
) -> tuple[int, ...]:
    """One number for each branch; a single number is one branch's.

    Raises:
        ValueError: For anything but positive integers.
    """
    if isinstance(values, int):
        values = (values,)
    return per_branch(name, values)


@dataclasses.dataclass(frozen=True)
class MultiScaleStem:
    """What may be chosen of the article's first layer.

    Args:
        kernel_sizes: One odd kernel size a branch.
        dilation_rates: One dilation a branch, a single number for a single
            branch. `(1, 2, 3)` with kernels `(3, 3, 3)` sees as far as
            `(3, 5, 7)` and costs a third of it (27 taps for 83). Defaults to
            1 for all.
        groups: 1, or the image's channels: then every filter sees one
            colour, at a third of the cost. Each branch has the largest
            multiple of `4 * groups` filters up to 64 (60 for three groups), so
            that an attention's ratio of 4 divides them. Defaults to 1.

    Raises:
        ValueError: For a list that is not one positive integer a branch.
    """

    kernel_sizes: tuple[int, ...]
    dilation_rates: int | Sequence[int] | None = None
    groups: int = 1

    def __post_init__(self) -> None:
        rates = self.dilation_rates
        if rates is None:
            rates = (1,) * len(self.kernel_sizes)
        rates = as_branches(rates, "dilation_rates")
        per_branch("dilation_rates", rates, length=len(self.kernel_sizes))
        object.__setattr__(self, "dilation_rates", rates)

    @property
    def _branches(self) -> list[tuple[int, int]]:
        """Kernel size and dilation of each."""
        rates = as_branches(self.dilation_rates or 1, "dilation_rates")
        return list(zip(self.kernel_sizes, rates, strict=True))

    def layer(self, channels: int, **arguments: Any) -> MultiScaleConv2D:
        """The stem itself.

        Args:
            channels: Of the image.
            **arguments: Others of `MultiScaleConv2D`.

        Raises:
            ValueError: For what the layer refuses, or other groups than 1 and
                the channels.
        """
        if self.groups not in (1, channels) or isinstance(self.groups, bool):
            raise ValueError(
                "`groups` is 1, or the number of channels of the image. "
                f"Received: groups={self.groups!r}, channels={channels}"
            )
        multiple = 4 * self.groups
        return MultiScaleConv2D(
            _FILTERS - _FILTERS % multiple,
            kernel_sizes=self.kernel_sizes,
            dilation_rates=[rate for _, rate in self._branches],
            groups=self.groups,
            **arguments,
        )

    def apart(self) -> tuple[MultiScaleStem, MultiScaleStem]:
        """The branch that sees least far, and the others.

        Raises:
            UserError: Where there is one branch alone.
        """
        if len(self.kernel_sizes) == 1:
            raise UserError(
                "stem=stride_2 has one branch at full resolution and others "
                "at stride 2: two or more `kernel_sizes`. "
                f"Received: {self.kernel_sizes[0]}."
            )
        branches = self._branches
        finest = min(branches, key=lambda branch: (branch[0] - 1) * branch[1])
        branches.remove(finest)
        sizes, rates = zip(*branches, strict=True)
        return (
            MultiScaleStem(finest[:1], finest[1:], self.groups),
            MultiScaleStem(sizes, rates, self.groups),
        )
