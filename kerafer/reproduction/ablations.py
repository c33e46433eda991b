"""The comparisons of the article and further ones, from `ablations.yaml`."""

from __future__ import annotations

import dataclasses
import functools
from importlib.resources import files

import yaml

from kerafer.errors import ConfigError, UserError


@dataclasses.dataclass(frozen=True)
class Variant:
    """One model of a comparison.

    Args:
        name: As the tables print it.
        arch: Its registry name.
        differs: How it differs from the first, for the reader.
        options: Of its builder, as `TrainingConfig.options`.
        split: As `DataConfig.split`. Default: that of the reproduction.
        against: Name of the variant it is compared with. Default: the first.
    """

    name: str
    arch: str
    differs: str = ""
    options: str | None = None
    split: str | None = None
    against: str | None = None


@dataclasses.dataclass(frozen=True)
class Ablation:
    """A group of models that are compared with each other.

    `table` is the number of the article's table by the article's data set. It
    is empty for a question that the article leaves open.
    """

    title: str
    variants: tuple[Variant, ...]
    table: dict[str, int] = dataclasses.field(default_factory=dict)


@functools.cache
def ablations() -> dict[str, Ablation]:
    """All groups by name, the article's own first."""
    text = (files("kerafer.reproduction") / "ablations.yaml").read_text("utf-8")
    return {
        key: Ablation(
            group["title"],
            tuple(Variant(**line) for line in group["variants"]),
            group.get("table", {}),
        )
        for key, group in yaml.safe_load(text).items()
    }


def open_questions() -> list[str]:
    """Names of the groups that are in no table of the article."""
    return [key for key, group in ablations().items() if not group.table]


def group_of_table(number: int, dataset: str) -> tuple[Ablation, str]:
    """Return the group that a table shows, and the article's data set.

    Raises:
        UserError: For an unknown table, or one of the article's other data set.
    """
    for group in ablations().values():
        places = [name for name, n in group.table.items() if n == number]
        if not places:
            continue
        # Other data sets are shown beside KDEF, the last where it is there.
        paper = places[-1]
        if dataset in ("kdef", "fesr"):
            paper = dataset.upper()
        if paper not in places:
            raise ConfigError(
                f"Table {number} is the article's for {places[0]}. Received: "
                f"`dataset` {dataset}."
            )
        return group, paper
    raise UserError(f"There is no table {number}. Choose from 2 to 8.")
