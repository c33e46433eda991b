"""Find duplicates and leaks between the parts of a split."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from kerafer import markdown
from kerafer.console import track
from kerafer.datasets.cores import map_in_threads, threads_for
from kerafer.datasets.dataset import Dataset
from kerafer.datasets.duplicates import (
    MAX_HASH_DISTANCE,
    find_duplicates,
    thumbnail,
)
from kerafer.datasets.splits import PARTS, UNUSED, shared_subjects
from kerafer.errors import some_of
from kerafer.files import write_text
from kerafer.tables import write_table

_KINDS = ["exact", "near", "mirrored"]
# Which image of a group stays: tests are not to change.
_KEPT = {"test": 0, "validation": 1, "train": 2}


@dataclasses.dataclass(frozen=True)
class Audit:
    """Findings on a data set and its split.

    Args:
        balance: Images, a row a class and a column a part.
        duplicates: A row for every image of a group of equal or nearly
            equal ones: `group`, `path`, `part`, `label`, `subject` if known,
            `kind` (`exact`, `near` or `mirrored`: how it is like the nearest
            other one), `bits` (of the perceptual hash that differ there).
        shared_subjects: For two parts the subjects who are in both.
        skipped_files: Files that are not used, `path` and `reason`.
        smallest, largest: Height and width of images.
        split: The part of every image, in the order of the manifest.
        soft_labels: Whether several people voted on each label.
    """

    balance: pd.DataFrame
    duplicates: pd.DataFrame
    shared_subjects: dict[tuple[str, str], list[str]]
    skipped_files: pd.DataFrame
    smallest: tuple[int, int]
    largest: tuple[int, int]
    split: pd.Series
    soft_labels: bool = False

    @property
    def crossing(self) -> pd.DataFrame:
        """The rows of groups that are in two parts or more."""
        return self._groups_with_several("part")

    @property
    def contradictory(self) -> pd.DataFrame:
        """The rows of groups whose labels differ."""
        return self._groups_with_several("label")

    def _groups_with_several(self, column: str) -> pd.DataFrame:
        counts = self.duplicates.groupby("group")[column].transform("nunique")
        return self.duplicates[counts > 1]

    def cleaned(self) -> pd.Series:
        """Return a split in which no image occurs twice.

        Of every group one image stays, one of the test part if there is any;
        groups with different labels become unused. Soft labels of different
        voters are not wrong: no group becomes unused, and a group of the
        training part alone stays whole.

        Returns:
            The part of every image, in the order of the manifest.
        """
        clean = self.split.copy()
        wrong = set() if self.soft_labels else set(self.contradictory["group"])
        for group, rows in self.duplicates.groupby("group"):
            if self.soft_labels and (rows["part"] == "train").all():
                continue
            order = rows.assign(rank=rows["part"].map(_KEPT)).sort_values(
                ["rank", "path"]
            )
            clean[order.index if group in wrong else order.index[1:]] = UNUSED
        return clean

    def summary(self) -> dict[str, Any]:
        """Return the findings as plain numbers and lists."""
        crossing, wrong = self.crossing, self.contradictory
        return {
            "n_images": len(self.split),
            "shared_subjects": {
                " and ".join(pair): subjects
                for pair, subjects in self.shared_subjects.items()
            },
            "duplicate_groups": self.duplicates["group"].nunique(),
            "n_images_in_them": len(self.duplicates),
            "groups_across_parts": crossing["group"].nunique(),
            "n_test_images_seen_elsewhere": int(
                (crossing["part"] == "test").sum()
            ),
            "groups_with_different_labels": wrong["group"].nunique(),
            "skipped_files": self.skipped_files["reason"]
            .value_counts()
            .to_dict(),
            "smallest": list(self.smallest),
            "largest": list(self.largest),
            "missing_classes": {
                part: self.balance.index[self.balance[part] == 0].tolist()
                for part in PARTS
            },
        }

    def findings(self) -> list[str]:
        """Return the findings as sentences, the worst first."""
        facts = self.summary()
        shared = {k: v for k, v in facts["shared_subjects"].items() if v}
        told = [
            f"{len(subjects)} subjects are in both {parts}: "
            f"{some_of(subjects, 10)}. Use the split `subject`."
            for parts, subjects in shared.items()
        ]
        if self.shared_subjects and not shared:
            told.append("No subject is in two parts.")
        if crossing := facts["groups_across_parts"]:
            told.append(
                f"{crossing} groups of equal or nearly equal images are in "
                f"more than one part, with "
                f"{facts['n_test_images_seen_elsewhere']} test images, which a "
                "model may have seen. Use `clean` to remove them."
            )
        if wrong := facts["groups_with_different_labels"]:
            why = (
                "other people voted on each"
                if self.soft_labels
                else "no model can be right on all"
            )
            told.append(
                f"{wrong} groups have different labels on the same image "
                f"({len(self.contradictory)} images); {why}."
            )
        counts = self.balance[list(PARTS)].sum(axis=1)
        small, large = (f"{h} x {w}" for h, w in (self.smallest, self.largest))
        return [
            *told,
            f"{facts['duplicate_groups']} groups of equal or nearly equal "
            f"images in all, {len(self.duplicates):,} of {len(self.split):,} "
            "images.",
            *(
                f"No image of {', '.join(classes)} in {part}."
                for part, classes in facts["missing_classes"].items()
                if classes
            ),
            f"The rarest class is {counts.idxmin()} with {counts.min():,} "
            f"images, the most frequent {counts.idxmax()} with "
            f"{counts.max():,}.",
            f"{len(self.skipped_files):,} files are skipped.",
            f"All images {small} pixels."
            if small == large
            else f"Images of {small} to {large} pixels.",
        ]

    def report(self, title: str, command: str) -> str:
        """Return the findings on `title` as Markdown, with their command."""
        skipped = self.skipped_files["reason"].value_counts()
        return markdown.render(
            "datasets/templates/audit.md.j2",
            title=title,
            command=command,
            findings=self.findings(),
            balance=_table("class", self.balance),
            skipped=_table("reason", skipped.to_frame("files"))
            if len(skipped)
            else "",
        )


def _table(name: str, table: pd.DataFrame) -> str:
    rows = table.map("{:,}".format).itertuples()
    return "\n".join(markdown.table((name, *table.columns), rows))


def audit(
    dataset: Dataset,
    split: pd.Series,
    max_hash_distance: int = MAX_HASH_DISTANCE,
) -> Audit:
    """Audit a data set and its split.

    Images are equal if their decoded pixels are. They are nearly equal if
    their perceptual hashes differ in few bits and their 32 x 32 thumbnails,
    laid over each other, nowhere differ much; the same is tried with one of
    them mirrored. Unused images are not compared.

    Args:
        dataset: The images.
        split: The part of each, in the order of the manifest.
        max_hash_distance: Bits of 64 that may differ. Default: 12.
    """

    def look(path: str) -> tuple[bytes, np.ndarray, tuple[int, int]]:
        image = dataset.read_image(path)
        digest = hashlib.sha256(repr(image.shape).encode())
        digest.update(np.ascontiguousarray(image).data)
        return digest.digest(), thumbnail(image), image.shape[:2]

    paths = dataset.manifest["path"].tolist()
    threads = threads_for([dataset.file_of(path) for path in paths])
    seen = map_in_threads(look, paths, threads)
    shown = track(seen, "Comparing images", len(paths))
    digests, thumbs, shapes = zip(*shown, strict=True)
    sizes = np.array(shapes)
    parts = pd.Series(np.asarray(split), name="split")
    used = np.flatnonzero(parts != UNUSED)
    pairs = find_duplicates(
        np.array(digests)[used], np.stack(thumbs)[used], max_hash_distance
    )
    pairs[["a", "b"]] = used[pairs[["a", "b"]].to_numpy(int)]
    areas = sizes.prod(axis=1)
    shared = {
        pair: shared_subjects(dataset, parts, *pair)
        for pair in itertools.combinations(PARTS, 2)
        if dataset.has_subjects
    }
    balance = pd.crosstab(
        dataset.manifest["label"].to_numpy(), parts.to_numpy()
    )
    return Audit(
        balance=balance.reindex(
            index=list(dataset.class_names),
            columns=[*PARTS, *({UNUSED} & set(balance))],
            fill_value=0,
        ),
        duplicates=_group(dataset, parts, pairs),
        shared_subjects=shared,
        skipped_files=dataset.skipped_files,
        smallest=tuple(sizes[areas.argmin()].tolist()),
        largest=tuple(sizes[areas.argmax()].tolist()),
        split=parts,
        soft_labels=dataset.has_shares,
    )


def _group(
    dataset: Dataset, parts: pd.Series, pairs: pd.DataFrame
) -> pd.DataFrame:
    """Return the table `Audit.duplicates`."""
    n = len(dataset)
    graph = coo_array(
        (np.ones(len(pairs)), (pairs["a"], pairs["b"])), shape=(n, n)
    )
    _, group = connected_components(graph, directed=False)
    rows = np.flatnonzero(np.bincount(group)[group] > 1)
    both = pd.concat(
        [pairs.rename(columns={"a": "row"}), pairs.rename(columns={"b": "row"})]
    )
    both["rank"] = both["kind"].map(_KINDS.index)
    nearest = both.sort_values(["rank", "bits"]).groupby("row").first()
    columns = ["path", "label", *["subject"] * int(dataset.has_subjects)]
    table = dataset.manifest.loc[rows, columns]
    table.insert(0, "group", group[rows])
    table.insert(2, "part", parts[rows])
    table["kind"] = nearest["kind"].reindex(rows)
    table["bits"] = nearest["bits"].reindex(rows).astype(int)
    # Groups in the order of their first image's path, counted from 1.
    first = table.groupby("group")["path"].min()
    table["group"] = table["group"].map(first.rank().astype(int))
    return table.sort_values(["group", "path"])


def write_audit(
    folder: Path, found: Audit, dataset: Dataset, title: str, command: str
) -> list[str]:
    """Write the report of an audit, and return the names of its files.

    Args:
        folder: Where to write it.
        found: The findings.
        dataset: The images, of which duplicates are drawn.
        title: Heading of the report.
        command: The command that wrote it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "audit.md", found.report(title, command))
    summary = json.dumps(found.summary(), indent=2)
    write_text(folder / "audit.json", summary + "\n")
    write_table(folder / "duplicates.csv", found.duplicates)
    names = ["audit.md", "audit.json", "duplicates.csv"]
    if len(found.duplicates):
        plot_duplicates(found, dataset, folder / "duplicates.png")
        return [*names, "duplicates.png"]
    # That of an earlier audit would show other groups.
    (folder / "duplicates.png").unlink(missing_ok=True)
    return names


def plot_duplicates(
    found: Audit, dataset: Dataset, file: Path, most: int = 12
) -> None:
    """Draw up to `most` groups, those across parts before the others."""
    from matplotlib.figure import Figure

    from kerafer.figures import save_figure

    table = pd.concat([found.crossing, found.duplicates])
    groups = table["group"].unique()[:most]
    figure = Figure(figsize=(6.8, 1.95 * len(groups)), layout="constrained")
    places = figure.subplots(len(groups), 4, squeeze=False)
    for axes in places.flat:
        axes.axis("off")
    for row, group in zip(places, groups, strict=True):
        members = found.duplicates[found.duplicates["group"] == group]
        # One of every part and label first: they are what is to be seen.
        again = members.duplicated(["part", "label"])
        members = pd.concat([members[~again], members[again]])
        for axes, (_, image) in zip(row, members.iterrows(), strict=False):
            axes.imshow(dataset.read_image(image["path"]))
            axes.set_title(
                f"group {group}, {image['kind']}\n{image['part']}: "
                f"{image['label']}",
                fontsize=7,
            )
    save_figure(figure, file, 110)
