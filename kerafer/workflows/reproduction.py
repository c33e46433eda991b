"""`kerafer.reproduce`: the article's tables and figures, ours beside its."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from kerafer.console import console
from kerafer.engine import load_tensorflow_backend
from kerafer.errors import ConfigError
from kerafer.files import output_folder, write_text
from kerafer.locks import locked
from kerafer.settings import as_flags, checked, read_yaml
from kerafer.tables import write_table
from kerafer.training.config import TrainingConfig
from kerafer.training.recipes import find_recipe
from kerafer.workflows.starting_model import with_face_margin

if TYPE_CHECKING:
    import pandas as pd

    from kerafer.reproduction.ablations import Ablation, Variant
    from kerafer.reproduction.plan import Training
    from kerafer.reproduction.report import Section
    from kerafer.workflows.split_dataset import SplitDataset

COSTS = 8
# Columns that the report has and a screen of 80 characters has no room for.
_NOT_SHOWN = ["", "test images", "precision %", "recall %"]


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """What `reproduce` made.

    Args:
        folder: With all files.
        report: The page that shows them.
        sections: Its tables and figures in their order.
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
    archs: Sequence[str] = (),
    runs: int = 5,
    executor: str = "here",
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    **settings: Any,
) -> Reproduction:
    """Train what tables and figures of the article need, and make them.

    What was trained for an earlier call with the same settings is not trained
    again. Without tables, figures and questions all of the data set are made.

        kerafer.reproduce(dataset="kdef", tables=[4])

    Args:
        base: The settings of all trainings, but for model and options, which
            the tables vary. Defaults to the article's protocol, the recipe
            `paper`.
        tables: Numbers of the article's, 2 to 8.
        figures: Numbers of the article's, 1 to 19.
        questions: Ablations that the article leaves open, such as `"stem"`, or
            `"all"`.
        archs: Leaves out the other models. Defaults to all.
        runs: Of each model, with the seeds `base.seed`, `base.seed + 1`...
            Defaults to 5.
        executor: Where trainings run: `"here"`, one after the other, or
            `"ray"`. Defaults to `"here"`.
        out: Folder of report and runs. Defaults to
            `reproduction/<data set>`.
        force: Whether a report of something else that is there is replaced;
            the runs stay. Defaults to `False`.
        **settings: Fields of `TrainingConfig` over those of `base`, such as
            `dataset`, `data_dir` and `epochs`.

    Raises:
        ConfigError: For numbers and words that there are not, or a report
            that would be lost.
        UserError: For images that are not there.
    """
    if runs < 1:
        raise ConfigError(f"`runs` is at least 1. Received: {runs}.")
    if executor not in ("here", "ray"):
        raise ConfigError(f"`executor` is here or ray. Received: {executor}.")
    base = with_face_margin(_with_settings(base, settings))
    work = _Work(
        base,
        tables,
        figures=figures,
        questions=questions,
        archs=archs,
        runs=runs,
        out=out,
    )
    words = {
        "tables": tables,
        "figures": figures,
        "questions": questions,
        "archs": archs,
    }
    command = _command(base, words, runs)
    if not force:
        _keep_report(work.out / "report.md", command)
    if work.variants or work.figures:
        work.look()
    work.out.mkdir(parents=True, exist_ok=True)
    with locked(work.out / ".lock", f"The folder {work.out}"):
        work.train(executor)
        return work.write(command)


def _with_settings(
    base: TrainingConfig | None, settings: dict[str, Any]
) -> TrainingConfig:
    if base is None:
        article = read_yaml(TrainingConfig, find_recipe("paper"))
        return checked(TrainingConfig, article | settings)
    return dataclasses.replace(base, **settings) if settings else base


def _keep_report(page: Path, command: str) -> None:
    """Refuse to replace the report that another command made."""
    if page.is_file() and f"\n    {command}\n" not in page.read_text("utf-8"):
        raise ConfigError(
            f"Results are kept: {page} is a report of something else. `force` "
            "replaces it, and no run; another `out` keeps it."
        )


class _Work:
    """One call of `reproduce`."""

    def __init__(
        self,
        base: TrainingConfig,
        tables: Sequence[int],
        figures: Sequence[int],
        questions: Sequence[str],
        archs: Sequence[str],
        runs: int,
        out: str | os.PathLike[str] | None,
    ) -> None:
        from kerafer.reproduction.ablations import (
            ablations,
            group_of_table,
            open_questions,
        )
        from kerafer.reproduction.figures import (
            default_figures,
            figure_kind,
            needed_variants,
        )

        self.base, self.runs = base, runs
        self.out = output_folder(out, Path("reproduction") / base.dataset)
        if not tables and not figures and not questions:
            tables = [2, 3, 6, 7] if base.dataset == "fesr" else [4, 5, 6, 7]
            tables = [*tables, COSTS]
            figures = default_figures(base.dataset)
        self.costs = COSTS in tables
        self.tables: dict[int, Ablation] = {
            number: group_of_table(number, base.dataset)
            for number in tables
            if number != COSTS
        }
        self.figures = {
            number: figure_kind(number, base.dataset) for number in figures
        }
        known = open_questions()
        if list(questions) == ["all"]:
            questions = known
        unknown = [word for word in questions if word not in known]
        if unknown:
            raise ConfigError(
                f"The questions are {', '.join(known)}, or all. Received: "
                f"{', '.join(unknown)}."
            )
        self.questions = [ablations()[word] for word in questions]
        self.archs = list(archs)
        self.variants = [
            variant
            for group in (*self.tables.values(), *self.questions)
            for variant in group.variants
        ]
        for kind in self.figures.values():
            self.variants += needed_variants(kind)
        self.plan: list[Training] = []
        self.data: SplitDataset | None = None

    # === Trainings ===

    def look(self) -> None:
        """Find out what there is to train, and the images for it."""
        from kerafer.reproduction.plan import make_plan

        load_tensorflow_backend("Reproductions")
        variants = self._variants()
        self.plan = make_plan(variants, self.base, self.runs, self._run_folder)
        if self._shows_images or any(t.state != "done" for t in self.plan):
            from kerafer.workflows.split_dataset import find_data

            self.data = find_data(self.base)

    def train(self, executor: str) -> None:
        """Say the plan and run what is missing of it."""
        if not self.plan:
            return
        self._say_plan()
        missing = [t for t in self.plan if t.state != "done"]
        if missing:
            from kerafer.reproduction.executors import RUN

            for number, (training, seconds) in enumerate(
                RUN[executor](missing), 1
            ):
                console.print(
                    f"{number} of {len(missing)}: {training.name} in "
                    f"{_duration(seconds)}",
                )
        self.plan = [
            dataclasses.replace(training, state="done")
            for training in self.plan
        ]

    @property
    def _run_folder(self) -> Path:
        return self.out / "runs"

    @property
    def _shows_images(self) -> bool:
        return any(kind.shows_images for kind in self.figures.values())

    def _variants(self) -> list[Variant]:
        """All models that are asked for and can be built here."""
        from kerafer.models import list_models
        from kerafer.models.registry import find_spec

        for arch in self.archs:
            find_spec(arch)
        known = list_models()
        chosen = [
            variant
            for variant in self.variants
            if variant.arch in known
            and (not self.archs or variant.arch in self.archs)
        ]
        if self.variants and not chosen:
            raise ConfigError(
                "None of the models of these tables and figures is among "
                f"`archs`. Received: {', '.join(self.archs) or 'none'}."
            )
        return chosen

    def _say_plan(self) -> None:
        done = sum(training.state == "done" for training in self.plan)
        console.print(
            f"Trainings needed: {len(self.plan)}. Of these {done} stand in "
            f"{self._run_folder}.",
            soft_wrap=True,
        )

    # === The report ===

    def write(self, command: str) -> Reproduction:
        """Tables as CSV, figures as PNG, and the page that shows them."""
        from kerafer.reproduction.report import reproduction_report

        self.out.mkdir(parents=True, exist_ok=True)
        sections = [*self._tables(), *self._figures()]
        done = [t for t in self.plan if t.state == "done"]
        facts = self._facts(done)
        title = (
            f"The article's tables and figures on {self.base.dataset}"
            if done
            else "What the models cost"
            if self.costs and not self.figures
            else "The article's figures"
        )
        page = self.out / "report.md"
        write_text(page, reproduction_report(title, facts, sections, command))
        for section in sections:
            if section.table is not None:
                _show(section.title, section.table)
                if section.text:
                    console.print(section.text)
        console.print(f"Written to {page}", soft_wrap=True)
        return Reproduction(self.out, page, tuple(sections), tuple(self.plan))

    def _tables(self) -> list[Section]:
        from kerafer.reproduction.ablations import table_dataset
        from kerafer.reproduction.report import Section
        from kerafer.reproduction.tables import score_table

        sections = []
        for number, group in self.tables.items():
            paper = table_dataset(number, self.base.dataset)
            table = score_table(group, self.base, self.runs, self.plan, paper)
            _write_csv(self.out / f"table_{number}.csv", table)
            title = f"Table {number}: {group.title}"
            sections.append(Section(title, table, text=_missing(table)))
        for group in self.questions:
            table = score_table(group, self.base, self.runs, self.plan, None)
            _write_csv(self.out / f"question_{group.key}.csv", table)
            title = f"Question: {group.title}"
            sections.append(Section(title, table, text=_missing(table)))
        if self.costs:
            load_tensorflow_backend("Reproductions")
            from kerafer.reproduction.tables import FOOTNOTE, cost_table

            costs = cost_table(self.archs or None)
            _write_csv(self.out / f"table_{COSTS}.csv", costs)
            title = f"Table {COSTS}: parameters and multiply-adds"
            sections.append(Section(title, costs, text=FOOTNOTE))
        return sections

    def _figures(self) -> list[Section]:
        from kerafer.reproduction.figures import draw_figure
        from kerafer.reproduction.report import Section

        images = None
        if self.data and self._shows_images:
            images = self.data.decode(self.base)
        sections = []
        for number, kind in sorted(self.figures.items()):
            load_tensorflow_backend("Reproductions")
            file = self.out / f"figure_{number:02}.png"
            drawn = draw_figure(
                kind,
                file,
                base=self.base,
                runs=self.runs,
                plan=self.plan,
                dataset=self.data.dataset if self.data else None,
                images=images,
            )
            if drawn:
                title = f"Figure {number}: {kind.title}"
                sections.append(Section(title, figure=file.name))
        return sections

    def _facts(self, done: list[Training]) -> dict[str, str]:
        if not done:
            return {}
        from kerafer.reproduction.summary import run_table

        table = run_table(done)
        _write_csv(self.out / "runs.csv", table)
        shared = as_flags(
            dataclasses.replace(self.base, data_dir=None), always=("dataset",)
        )
        facts = {
            "settings": f"`{shlex.join(shared)}`, the rest by default",
            "runs": f"{len(table)}, one by one in [runs.csv](runs.csv)",
            "split": ", ".join(sorted(set(table["split"]))),
            "trained for": f"{table['minutes'].sum():.0f} minutes in all",
        }
        for name in ("processor", "kerafer", "tensorflow", "keras"):
            facts[name] = ", ".join(sorted(set(table[name].astype(str))))
        return facts


def _missing(table: pd.DataFrame) -> str:
    empty = table["model"][table["runs"] == 0].tolist()
    if not empty:
        return ""
    return f"Without a run here: {', '.join(empty)}."


def _write_csv(file: Path, table: pd.DataFrame) -> None:
    write_table(file, table.rename(columns={"": "differs"}))


def _show(title: str, frame: pd.DataFrame) -> None:
    frame = frame.drop(columns=_NOT_SHOWN, errors="ignore")
    table = Table(title=title)
    for index, name in enumerate(frame.columns):
        table.add_column(
            name, justify="right" if index else "left", overflow="fold"
        )
    for row in frame.itertuples(index=False):
        table.add_row(*(str(value) for value in row))
    console.print(table)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _command(
    base: TrainingConfig,
    chosen: Mapping[str, Sequence[object]],
    runs: int,
) -> str:
    words = ["python", "scripts/reproduce.py"]
    for name, values in chosen.items():
        if values:
            words += [f"--{name}", ",".join(map(str, values))]
    words += ["--runs", str(runs)]
    flags = as_flags(base.anywhere(), always=("dataset",))
    return shlex.join([*words, *flags])
