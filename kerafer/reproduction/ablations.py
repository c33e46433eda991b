"""What is compared with what, read from `ablations.yaml`."""

from __future__ import annotations

import dataclasses
from importlib.resources import files

import yaml

from kerafer.errors import ConfigError, UserError


@dataclasses.dataclass(frozen=True)
class Variant:
    """One model of a comparison.

    Args:
        name: As the tables print it.
        arch: Its name in the registry.
        differs: What sets it apart, for the reader.
        options: Of its builder, as `TrainingConfig.options` has them.
        split: As `DataConfig.split` has it; `None` takes the one asked for.
    """

    name: str
    arch: str
    differs: str = ""
    options: str | None = None
    split: str | None = None


@dataclasses.dataclass(frozen=True)
class Ablation:
    """A group of models; the first is what the others are compared with.

    Args:
        key: The group's name in the file.
        title: For the reader.
        variants: Of which the first is the base.
        table: Number of the article's table, by the article's data set.
    """

    key: str
    title: str
    variants: tuple[Variant, ...]
    table: dict[str, int] = dataclasses.field(default_factory=dict)


def ablations() -> dict[str, Ablation]:
    """All groups by name, the article's own first."""
    text = (files("kerafer.reproduction") / "ablations.yaml").read_text("utf-8")
    return {
        key: Ablation(
            key,
            group["title"],
            tuple(Variant(**line) for line in group["variants"]),
            group.get("table", {}),
        )
        for key, group in yaml.safe_load(text).items()
    }


def open_questions() -> list[str]:
    """Names of the groups that are in no table of the article."""
    return [key for key, group in ablations().items() if not group.table]


def group_of_table(number: int, dataset: str) -> Ablation:
    """The group that a table of the article shows.

    Args:
        number: 2 to 7.
        dataset: `kdef`, `fesr` or another; with those two the table has to be
            one of theirs.

    Raises:
        UserError: For a table of the other data set, or none.
    """
    for group in ablations().values():
        places = [name for name, n in group.table.items() if n == number]
        if not places:
            continue
        mine = dataset.upper()
        if mine in ("KDEF", "FESR") and mine not in places:
            raise ConfigError(
                f"Table {number} is the article's for {places[0]}. "
                f"Received: `dataset` {dataset}."
            )
        return group
    raise UserError(f"Tables are made of 2 to 8. Received: {number}.")


def table_dataset(number: int, dataset: str) -> str:
    """Which of the article's data sets stands beside ours in a table."""
    if dataset in ("kdef", "fesr"):
        return dataset.upper()
    places = [
        name
        for group in ablations().values()
        for name, n in group.table.items()
        if n == number
    ]
    return "KDEF" if "KDEF" in places else places[0]
