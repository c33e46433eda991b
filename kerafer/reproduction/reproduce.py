"""Train what the article's tables and figures need, and make them."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerafer import markdown
from kerafer.console import console
from kerafer.datasets.split_dataset import find_data
from kerafer.engine import load_tensorflow_backend
from kerafer.errors import ConfigError
from kerafer.files import locked, output_folder, write_text
from kerafer.reproduction.ablations import (
    Ablation,
    ablations,
    group_of_table,
    open_questions,
)
from kerafer.reproduction.plan import Training, make_plan
from kerafer.settings import as_flags, read_yaml
from kerafer.tables import write_table
from kerafer.training.config import TrainingConfig
from kerafer.training.pretrained import with_face_margin
from kerafer.training.recipes import find_recipe

if TYPE_CHECKING:
    import pandas as pd

    from kerafer.reproduction.figures import FigureKind

COSTS = 8


@dataclasses.dataclass(frozen=True)
class Section:
    """A table or a figure of the report.

    Args:
        title: Its heading.
        table: A table, or `None`.
        figure: Name of an image beside the report, or `None`.
        text: Sentences below.
    """

    title: str
    table: pd.DataFrame | None = None
    figure: str | None = None
    text: str = ""


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """The result of `reproduce`.

    Args:
        folder: With all files.
        report: The page that shows them.
        sections: Its tables and figures.
        runs: The trainings behind them.
    """

    folder: Path
    report: Path
    sections: tuple[Section, ...]
    runs: tuple[Training, ...]


def reproduce(
    base: TrainingConfig | None = None,
    *,
    tables: Sequence[int] = (),
    figures: Sequence[int] = (),
    questions: Sequence[str] = (),
    models: Sequence[str] = (),
    runs: int = 5,
    executor: str = "here",
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    **settings: Any,
) -> Reproduction:
    """Train what tables and figures of the article need, and make them.

        kerafer.reproduce(dataset="kdef", tables=[4])

    Trainings of an earlier call with the same settings are used again.
    Without tables, figures and questions, all of the data set are made.

    Args:
        base: The settings of all trainings, except for model and options,
            which the tables vary. Default: the article's protocol, the recipe
            `paper`.
        tables: Numbers of the article's tables, 2 to 8.
        figures: Numbers of the article's figures, 1 to 19.
        questions: Ablations that the article leaves open, such as `"stem"`, or
            `"all"`.
        models: Leave out all other models. Default: keep all.
        runs: Number of runs of each model, with the seeds `base.seed`,
            `base.seed + 1`, ... Default: 5.
        executor: `"here"` trains one after the other, `"ray"` on a Ray
            cluster. Default: `"here"`.
        out: Folder of report and runs. Default: `reproduction/<data set>`.
        force: Whether to replace a report of other settings; the runs stay.
            Default: `False`.
        **settings: Fields of `TrainingConfig` over those of `base`, such as
            `dataset`, `data_dir` and `epochs`.

    Raises:
        ConfigError: For unknown numbers or words, or a report that would be
            lost.
        UserError: If the images are missing, or a training fails.
    """
    if runs < 1:
        raise ConfigError(f"`runs` must be at least 1. Received: {runs}.")
    if executor not in ("here", "ray"):
        raise ConfigError(f"`executor` is here or ray. Received: {executor}.")
    base = with_face_margin(_settings(base, settings))
    if not tables and not figures and not questions:
        from kerafer.reproduction.figures import default_figures

        tables = [2, 3, 6, 7, 8] if base.dataset == "fesr" else [4, 5, 6, 7, 8]
        figures = default_figures(base.dataset)
    groups = _groups(tables, questions, base.dataset)
    kinds = _figure_kinds(figures, base.dataset)
    words = {
        "tables": tables,
        "figures": figures,
        "questions": questions,
        "models": models,
    }
    command = _command(base, words, runs)
    folder = output_folder(out, Path("reproduction") / base.dataset)
    page = folder / "report.md"
    if page.is_file() and not force and command not in page.read_text("utf-8"):
        raise ConfigError(
            f"{page} is the report of another command. Use `force` to replace "
            "it (the runs stay), or another `out`."
        )

    plan = _plan(groups, kinds, base, models, runs, folder / "runs")
    data = None
    shows_images = any(kind.shows_images for kind in kinds.values())
    if shows_images or any(training.state != "done" for training in plan):
        data = find_data(base)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock", f"The folder {folder}"):
        plan = _train(plan, executor)
        sections = _tables(groups, base, runs, plan, folder)
        if COSTS in tables:
            sections.append(_cost_section(models, folder))
        for number, kind in sorted(kinds.items()):
            from kerafer.reproduction.figures import draw_figure

            load_tensorflow_backend("Reproductions")
            file = folder / f"figure_{number:02}.png"
            shown = data if kind.shows_images else None
            drawn = draw_figure(
                kind,
                file,
                base=base,
                runs=runs,
                plan=plan,
                dataset=None if shown is None else shown.dataset,
                images=None if shown is None else shown.decode(base),
            )
            if drawn:
                title = f"Figure {number}: {kind.title}"
                sections.append(Section(title, figure=file.name))
        text = markdown.render(
            "reproduction/templates/reproduction.md.j2",
            title=f"The article's tables and figures on {base.dataset}"
            if plan
            else "The article's tables and figures",
            sections=sections,
            named=_facts(plan, base, folder),
            command=command,
        )
        write_text(page, text)
    return Reproduction(folder, page, tuple(sections), tuple(plan))


def _settings(
    base: TrainingConfig | None, settings: dict[str, Any]
) -> TrainingConfig:
    if base is None:
        article = read_yaml(TrainingConfig, find_recipe("paper"))
        return TrainingConfig(**(article | settings))
    return dataclasses.replace(base, **settings) if settings else base


def _groups(
    tables: Sequence[int], questions: Sequence[str], dataset: str
) -> dict[str, tuple[Ablation, str | None]]:
    """The groups of models by heading, with the article's data set."""
    found: dict[str, tuple[Ablation, str | None]] = {}
    for number in tables:
        if number != COSTS:
            found[f"Table {number}"] = group_of_table(number, dataset)
    known = open_questions()
    for word in known if list(questions) == ["all"] else questions:
        if word not in known:
            raise ConfigError(
                f"Unknown question {word!r}. Choose from {', '.join(known)}, "
                "or all."
            )
        found[f"Question {word}"] = (ablations()[word], None)
    return found


def _figure_kinds(
    figures: Sequence[int], dataset: str
) -> dict[int, FigureKind]:
    if not figures:
        return {}
    from kerafer.reproduction.figures import figure_kind

    return {number: figure_kind(number, dataset) for number in figures}


def _plan(
    groups: dict[str, tuple[Ablation, str | None]],
    kinds: dict[int, FigureKind],
    base: TrainingConfig,
    models: Sequence[str],
    runs: int,
    folder: Path,
) -> list[Training]:
    """All trainings of models that are asked for and can be built."""
    variants = [v for group, _ in groups.values() for v in group.variants]
    variants += [v for kind in kinds.values() for v in kind.needed_variants()]
    if not variants and not models:
        return []
    load_tensorflow_backend("Reproductions")
    from kerafer.models import list_models
    from kerafer.models.registry import find_model

    for name in models:
        find_model(name)
    chosen = [
        variant
        for variant in variants
        if variant.arch in list_models()
        and (not models or variant.arch in models)
    ]
    if variants and not chosen:
        raise ConfigError(
            "These tables and figures have none of the `models`. Received: "
            f"{', '.join(models)}."
        )
    return make_plan(chosen, base, runs, folder)


def _train(plan: list[Training], executor: str) -> list[Training]:
    """Run the missing trainings; the plan with all of them done."""
    missing = [training for training in plan if training.state != "done"]
    if plan:
        console.print(
            f"Trainings needed: {len(plan)}. Done before: "
            f"{len(plan) - len(missing)}."
        )
    if missing:
        from kerafer.reproduction.executors import RUN

        for number, (training, seconds) in enumerate(RUN[executor](missing), 1):
            console.print(
                f"{number} of {len(missing)}: {training.name} in "
                f"{seconds / 60:.1f} minutes",
            )
    return [dataclasses.replace(training, state="done") for training in plan]


def _tables(
    groups: dict[str, tuple[Ablation, str | None]],
    base: TrainingConfig,
    runs: int,
    plan: list[Training],
    folder: Path,
) -> list[Section]:
    if not groups:
        return []
    from kerafer.reproduction.tables import score_table

    sections = []
    for heading, (group, paper) in groups.items():
        table = score_table(group, base, runs, plan, paper)
        _write_csv(folder, heading, table)
        empty = table["model"][table["runs"] == 0].tolist()
        text = f"Without a run here: {', '.join(empty)}." if empty else ""
        title = f"{heading}: {group.title}"
        sections.append(Section(title, table, text=text))
    return sections


def _cost_section(models: Sequence[str], folder: Path) -> Section:
    load_tensorflow_backend("Reproductions")
    from kerafer.reproduction.tables import FOOTNOTE, cost_table

    table = cost_table(list(models) or None)
    _write_csv(folder, f"Table {COSTS}", table)
    title = f"Table {COSTS}: parameters and multiply-adds"
    return Section(title, table, text=FOOTNOTE)


def _write_csv(folder: Path, heading: str, table: pd.DataFrame) -> None:
    name = heading.lower().replace(" ", "_")
    write_table(folder / f"{name}.csv", table.rename(columns={"": "differs"}))


def _facts(
    plan: list[Training], base: TrainingConfig, folder: Path
) -> dict[str, str]:
    if not plan:
        return {}
    from kerafer.reproduction.tables import run_table

    table = run_table(plan)
    write_table(folder / "runs.csv", table)
    shared = dataclasses.replace(base, data_dir=None)
    flags = shlex.join(as_flags(shared, always=("dataset",)))
    facts = {
        "settings": f"`{flags}`, the rest by default",
        "runs": f"{len(table)}, listed in [runs.csv](runs.csv)",
        "split": ", ".join(sorted(set(table["split"]))),
        "trained for": f"{table['minutes'].sum():.0f} minutes in all",
    }
    for name in ("processor", "kerafer", "tensorflow", "keras"):
        facts[name] = ", ".join(sorted(set(table[name].astype(str))))
    return facts


def _command(
    base: TrainingConfig,
    chosen: Mapping[str, Sequence[object]],
    runs: int,
) -> str:
    words = ["kerafer", "reproduce"]
    for name, values in chosen.items():
        if values:
            words += [f"--{name}", ",".join(map(str, values))]
    words += ["--runs", str(runs)]
    flags = as_flags(base.anywhere(), always=("dataset",))
    return shlex.join([*words, *flags])
