"""What makes a data set or its division say more than it can."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from kerafer.console import track
from kerafer.datasets.cores import map_in_threads
from kerafer.datasets.dataset import Dataset
from kerafer.datasets.perceptual_hash import (
    MIRROR,
    difference,
    near_pairs,
    perceptual_hash,
    thumbnail,
)
from kerafer.datasets.splits import PARTS, UNUSED, shared_subjects

NEAR = 12
DIFFERENCE = 0.15
# Bits at once: within so many the order of pairs is of no matter.
_BAND = 7
# An image of which so many others only seem to be copies is like nothing.
_MOST_TRIES = 500
# Which image of a group stays: tests are not to change.
_KEPT = {"test": 0, "validation": 1, "train": 2}


@dataclasses.dataclass(frozen=True)
class Audit:
    """The findings.

    Args:
        balance: Images, a row a class and a column a part.
        duplicates: A row for every image of a group of equal or nearly
            equal ones: `group`, `path`, `part`, `label`, `subject` where
            known, `kind` (`exact`, `near` or `mirrored`: how it is like the
            nearest other one), `bits` (of the perceptual hash that differ
            there).
        shared_people: For two parts the people who stand in both.
        left_out: Files that are not taken, `path` and `reason`.
        smallest, largest: Height and width of images.
        split: The part of every image, in the order of the manifest.
        votes: Whether labels are shares of several people. Defaults to no.
    """

    balance: pd.DataFrame
    duplicates: pd.DataFrame
    shared_people: dict[tuple[str, str], list[str]]
    left_out: pd.DataFrame
    smallest: tuple[int, int]
    largest: tuple[int, int]
    split: pd.Series
    votes: bool = False

    @property
    def crossing(self) -> pd.DataFrame:
        """The rows of groups that stand in two parts or more."""
        return self._groups_with("part")

    @property
    def contradictory(self) -> pd.DataFrame:
        """The rows of groups whose labels differ."""
        return self._groups_with("label")

    def _groups_with(self, column: str) -> pd.DataFrame:
        several = self.duplicates.groupby("group")[column].nunique() > 1
        names = several.index[several]
        return self.duplicates[self.duplicates["group"].isin(names)]

    def cleaned(self) -> pd.Series:
        """A split in which no image stands twice.

        Of every group one image stays, one of the test part if there is
        any; groups with different labels are put out of use. Where labels are
        votes none is wrong, as each image was shown to people of its own:
        different labels put no group out of use, and a group of the training
        part alone stays whole.

        Returns:
            The part of every image, in the order of the manifest;
            `"unused"` for those that are left out.
        """
        clean = self.split.copy()
        wrong = set() if self.votes else set(self.contradictory["group"])
        for group, rows in self.duplicates.groupby("group"):
            if self.votes and (rows["part"] == "train").all():
                continue
            order = rows.assign(rank=rows["part"].map(_KEPT)).sort_values(
                ["rank", "path"]
            )
            out = order.index if group in wrong else order.index[1:]
            clean[out] = UNUSED
        return clean


def audit(
    dataset: Dataset,
    split: pd.Series,
    near: int = NEAR,
    most: float = DIFFERENCE,
) -> Audit:
    """Look through a data set and its division.

    Images are equal if their decoded pixels are. They are nearly equal if
    their perceptual hashes differ in few bits and their 32 x 32 thumbnails,
    laid over each other, nowhere differ much; the same is tried with one of
    them mirrored. Images out of use are not compared.

    Args:
        dataset: The images.
        split: The part of each, in the order of the manifest.
        near: Bits of 64 that may differ. Defaults to 12.
        most: What `difference` of two thumbnails may be. Defaults to 0.15.
    """
    digests, thumbs, sizes = _look(dataset)
    parts = pd.Series(np.asarray(split), name="split")
    used = np.flatnonzero(parts != UNUSED)
    edges = _edges(digests, thumbs, used, near, most)
    areas = sizes.prod(axis=1)
    return Audit(
        balance=_balance(dataset, parts),
        duplicates=_groups(dataset, parts, edges),
        shared_people=_shared_people(dataset, parts),
        left_out=dataset.left_out,
        smallest=tuple(sizes[areas.argmin()].tolist()),
        largest=tuple(sizes[areas.argmax()].tolist()),
        split=parts,
        votes=dataset.has_shares,
    )


def _look(dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Digest of the pixels, thumbnail and size of every image."""

    def one(path: str) -> tuple[bytes, np.ndarray, tuple[int, int]]:
        image = dataset.read_image(path)
        digest = hashlib.sha256(repr(image.shape).encode())
        digest.update(np.ascontiguousarray(image).data)
        return digest.digest(), thumbnail(image), image.shape[:2]

    paths = dataset.manifest["path"].tolist()
    found = map_in_threads(one, paths, dataset.threads)
    seen = list(track(found, "Looking at images", len(paths)))
    digests, thumbs, sizes = zip(*seen, strict=True)
    return np.array(digests), np.stack(thumbs), np.array(sizes)


def _edges(
    digests: np.ndarray,
    thumbs: np.ndarray,
    used: np.ndarray,
    near: int,
    most: float,
) -> pd.DataFrame:
    """Pairs of like images: rows `a` and `b`, `kind` and `bits`.

    Enough of them to join every group, each image with the nearest.
    """
    order = used[np.argsort(digests[used], kind="stable")]
    same = digests[order][1:] == digests[order][:-1]
    # Two rows of one digest, one behind the other, join all of that digest.
    exact = [
        (a, b, "exact", 0)
        for a, b in zip(order[:-1][same], order[1:][same], strict=True)
    ]
    # Of equal images one is compared with the others.
    rows = np.sort(order[np.concatenate([[True], ~same])])
    hashes = np.array([perceptual_hash(thumb) for thumb in thumbs[rows]])
    like = [
        (rows[a], rows[b], kind, bits)
        for a, b, kind, bits in _alike(hashes, thumbs, rows, near, most)
    ]
    return pd.DataFrame(exact + like, columns=["a", "b", "kind", "bits"])


def _alike(
    hashes: np.ndarray,
    thumbs: np.ndarray,
    rows: np.ndarray,
    near: int,
    most: float,
) -> Iterator[tuple[int, int, str, int]]:
    """Pairs that join every group, about the nearest first; kind and bits.

    What is joined already is not looked at again, so a group of many costs a
    comparison for each of them and not for each pair.
    """
    group = np.arange(len(hashes), dtype=np.int32)
    members = {n: [n] for n in range(len(hashes))}
    tries = np.zeros(len(hashes), int)
    steps = [(n, min(n + _BAND - 1, near)) for n in range(0, near + 1, _BAND)]
    kinds = (("near", hashes), ("mirrored", hashes ^ MIRROR))
    for (least, last), (kind, others) in track(
        itertools.product(steps, kinds), "Comparing pairs", 2 * len(steps)
    ):
        for pairs in near_pairs(hashes, others, least, last, group):
            for a, b, bits in zip(*pairs, strict=True):
                if group[a] == group[b] or max(tries[[a, b]]) >= _MOST_TRIES:
                    continue
                one, other = thumbs[rows[a]], thumbs[rows[b]]
                if kind == "mirrored":
                    other = other[:, ::-1]
                if difference(one, other) > most:
                    tries[[a, b]] += 1
                    continue
                large, small = group[a], group[b]
                if len(members[large]) < len(members[small]):
                    large, small = small, large
                members[large] += members[small]
                group[members.pop(small)] = large
                yield a, b, kind, int(bits)


def _groups(
    dataset: Dataset, parts: pd.Series, edges: pd.DataFrame
) -> pd.DataFrame:
    n = len(dataset)
    graph = coo_array(
        (np.ones(len(edges)), (edges["a"], edges["b"])), shape=(n, n)
    )
    _, group = connected_components(graph, directed=False)
    sizes = np.bincount(group)
    rows = np.flatnonzero(sizes[group] > 1)
    order = ["exact", "near", "mirrored"]
    both = pd.concat(
        [
            edges.rename(columns={"a": "row", "b": "other"}),
            edges.rename(columns={"b": "row", "a": "other"}),
        ]
    )
    both["rank"] = both["kind"].map(order.index)
    best = both.sort_values(["rank", "bits"]).groupby("row").first()
    manifest = dataset.manifest.iloc[rows]
    table = pd.DataFrame(
        {
            "group": group[rows],
            "path": manifest["path"].to_numpy(),
            "part": parts.to_numpy()[rows],
            "label": manifest["label"].to_numpy(),
        },
        index=rows,
    )
    if dataset.has_subjects:
        table["subject"] = manifest["subject"].to_numpy()
    table["kind"] = best["kind"].reindex(rows)
    table["bits"] = best["bits"].reindex(rows).astype(int)
    # Groups in the order of their first image's path, counted from 1.
    first = table.groupby("group")["path"].min().sort_values()
    numbers = {name: i for i, name in enumerate(first.index, 1)}
    table["group"] = table["group"].map(numbers)
    return table.sort_values(["group", "path"])


def _balance(dataset: Dataset, parts: pd.Series) -> pd.DataFrame:
    table = pd.crosstab(dataset.manifest["label"].to_numpy(), parts.to_numpy())
    columns = [*PARTS, *([UNUSED] if UNUSED in table else [])]
    return table.reindex(
        index=list(dataset.class_names), columns=columns, fill_value=0
    )


def _shared_people(
    dataset: Dataset, parts: pd.Series
) -> dict[tuple[str, str], list[str]]:
    if not dataset.has_subjects:
        return {}
    return {
        pair: shared_subjects(dataset, parts, *pair)
        for pair in itertools.combinations(PARTS, 2)
    }
