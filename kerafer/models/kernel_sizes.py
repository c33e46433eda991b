"""The kernel sizes of a multi-scale stem, as a user gives them."""

from __future__ import annotations

from collections.abc import Sequence

from kerafer.layers.arguments import per_branch


def as_branches(kernel_sizes: int | Sequence[int]) -> tuple[int, ...]:
    """One kernel size for each branch; a single number is one branch.

    Raises:
        ValueError: For anything but positive integers.
    """
    if isinstance(kernel_sizes, int):
        kernel_sizes = (kernel_sizes,)
    return per_branch("kernel_sizes", kernel_sizes)
