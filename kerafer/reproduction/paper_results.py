"""What the article reports."""

from __future__ import annotations

from importlib.resources import files

import pandas as pd


def paper_results() -> pd.DataFrame:
    """The article's numbers as far as they survive in its text.

    Its tables are lost in the text that is at hand; a number is either
    `stated` there or `derived` from others that are.

    Returns:
        Columns `dataset` (`KDEF`, `FESR`, `mean` of both, or empty for what
        depends on none), `model` (a registry name), `metric`, `value` (text,
        with the digits that the article prints; accuracies and gains in
        percent) and `provenance`.

    Reference:
        Liu et al., Scientific Reports 15, 22219 (2025).
    """
    file = files("kerafer.reproduction") / "paper_results.csv"
    with file.open(encoding="utf-8") as stream:
        return pd.read_csv(stream, dtype=str, keep_default_na=False)


def paper_value(dataset: str, model: str, metric: str) -> tuple[str, str]:
    """One number, as the article has it.

    Returns:
        The number where it is stated and where it is derived; one of the two,
        or both, are empty.
    """
    table = paper_results()
    rows = table[
        (table["dataset"] == dataset)
        & (table["model"] == model)
        & (table["metric"] == metric)
    ]
    if rows.empty:
        return "", ""
    value, provenance = rows.iloc[0][["value", "provenance"]]
    return (value, "") if provenance.startswith("stated") else ("", value)
