"""Train what the article's tables and figures need, and make them."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kerafer import markdown
from kerafer.console import console
from kerafer.datasets.loading import load_data
from kerafer.engine import load_tensorflow_backend
from kerafer.errors import ConfigError
from kerafer.files import locked, output_folder, write_text
from kerafer.reproduction.ablations import (
    Ablation,
    ablations,
    group_of_table,
    open_questions,
)
from kerafer.reproduction.executors import RUN
from kerafer.reproduction.figures import (
    default_figures,
    draw_figure,
    figure_kind,
)
from kerafer.reproduction.plan import Plan, Training
from kerafer.settings import as_flags, read_yaml
from kerafer.tables import write_table
from kerafer.training.config import TrainingConfig
from kerafer.training.pretrained import with_face_margin
from kerafer.training.recipes import find_recipe
from kerafer.untrusted import read_json

if TYPE_CHECKING:
    import pandas as pd

COSTS = 8


class Section(NamedTuple):
    """A table, or the name of a figure beside the report, and a remark."""

    title: str
    table: pd.DataFrame | None = None
    figure: str | None = None
    text: str = ""


class Reproduction(NamedTuple):
    """The files, tables and figures of a reproduction, and its trainings."""

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
    if executor not in RUN:
        raise ConfigError(f"`executor` is here or ray. Received: {executor}.")
    if base is None:
        article = read_yaml(TrainingConfig, find_recipe("paper"))
        base = TrainingConfig(**article)
    base = dataclasses.replace(with_face_margin(base), **settings)
    base = with_face_margin(base)
    if not tables and not figures and not questions:
        tables = [2, 3, 6, 7, 8] if base.dataset == "fesr" else [4, 5, 6, 7, 8]
        figures = default_figures(base.dataset)
    groups = _groups(tables, questions, base.dataset)
    kinds = {n: figure_kind(n, base.dataset) for n in sorted(figures)}
    given: dict[str, Sequence[object]] = {
        "--tables": tables,
        "--figures": figures,
        "--questions": questions,
        "--models": models,
        "--runs": [runs],
    }
    words = [
        word
        for flag, values in given.items()
        if values
        for word in (flag, ",".join(map(str, values)))
    ]
    words += as_flags(base.anywhere(), always=("dataset",))
    command = shlex.join(["kerafer", "reproduce", *words])
    folder = output_folder(out, Path("reproduction") / base.dataset)
    report = folder / "report.md"
    old = report.read_text("utf-8") if report.is_file() else command
    if command not in old and not force:
        raise ConfigError(
            f"{report} is the report of another command. Use `force` to "
            "replace it (the runs stay), or choose another `out`."
        )

    load_tensorflow_backend("Reproductions")
    from kerafer.models.registry import find_model
    from kerafer.reproduction.tables import FOOTNOTE, cost_table, score_table

    for name in models:
        find_model(name)
    variants = [v for group, _ in groups.values() for v in group.variants]
    variants += [v for kind in kinds.values() for v in kind.variants()]
    chosen = [v for v in variants if not models or v.arch in models]
    if variants and not chosen:
        raise ConfigError(
            "These tables and figures have none of the `models`. Received: "
            f"{', '.join(models)}."
        )
    plan = Plan(chosen, base, runs, folder / "runs")
    shows_images = any(kind.shows_images for kind in kinds.values())
    missing = not all(training.is_done for training in plan.trainings)
    # Before hours of training, an error if the images are not there.
    data = load_data(base) if shows_images or missing else None
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock", f"The folder {folder}"):
        _train(plan, executor)
        sections = [
            Section(
                f"{heading}: {group.title}", score_table(group, plan, paper)
            )
            for heading, (group, paper) in groups.items()
        ]
        if COSTS in tables:
            title = f"Table {COSTS}: parameters and multiply-adds"
            sections.append(Section(title, cost_table(models), text=FOOTNOTE))
        for section in sections:
            name = section.title.partition(":")[0].lower().replace(" ", "_")
            write_table(folder / f"{name}.csv", section.table)
        for number, kind in kinds.items():
            file = folder / f"figure_{number:02}.png"
            if draw_figure(kind, file, plan, data):
                title = f"Figure {number}: {kind.title}"
                sections.append(Section(title, figure=file.name))
        page = markdown.render(
            "reproduction/templates/reproduction.md.j2",
            dataset=base.dataset,
            sections=sections,
            named=_write_runs(plan, folder),
            command=command,
        )
        write_text(report, page)
    return Reproduction(folder, report, tuple(sections), tuple(plan.trainings))


def _groups(
    tables: Sequence[int], questions: Sequence[str], dataset: str
) -> dict[str, tuple[Ablation, str | None]]:
    """Return the groups by heading, with the article's data set."""
    found: dict[str, tuple[Ablation, str | None]] = {
        f"Table {n}": group_of_table(n, dataset) for n in tables if n != COSTS
    }
    known = open_questions()
    for word in known if list(questions) == ["all"] else questions:
        if word not in known:
            raise ConfigError(
                f"Unknown question {word!r}. Choose from {', '.join(known)}, "
                "or all."
            )
        found[f"Question {word}"] = (ablations()[word], None)
    return found


def _train(plan: Plan, executor: str) -> None:
    missing = [t for t in plan.trainings if not t.is_done]
    if plan.trainings:
        done = len(plan.trainings) - len(missing)
        console.print(
            f"Trainings needed: {len(plan.trainings)}. Done before: {done}."
        )
    if not missing:
        return
    for number, training in enumerate(RUN[executor](missing), 1):
        seconds = read_json(training.folder / "metrics.json")["seconds"]
        console.print(
            f"{number} of {len(missing)}: {training.name} in "
            f"{seconds / 60:.1f} minutes",
            soft_wrap=True,
        )


def _write_runs(plan: Plan, folder: Path) -> dict[str, str]:
    """Write `runs.csv`, and return facts for the report."""
    from kerafer.reproduction.tables import run_table

    if not plan.trainings:
        return {}
    table = run_table(plan.trainings)
    write_table(folder / "runs.csv", table)
    shared = dataclasses.replace(plan.base, data_dir=None)
    flags = shlex.join(as_flags(shared, always=("dataset",)))
    facts = {
        "settings": f"`{flags}`, the rest by default",
        "runs": f"{len(table)}, listed in [runs.csv](runs.csv)",
        "trained for": f"{table['minutes'].sum():.0f} minutes in all",
    }
    for name in ("split", "processor", "kerafer", "tensorflow", "keras"):
        facts[name] = ", ".join(sorted(set(table[name].astype(str))))
    return facts
