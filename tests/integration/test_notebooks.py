"""That the notebooks run, with small settings, as they are written."""

import json
from pathlib import Path

import matplotlib
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs/notebooks").glob("*"))
# The first code cell of each sets these; the test takes less.
SMALL = {"people": 6, "size": 32, "epochs": 1}


def cells(notebook, kind):
    """The text of all cells of a kind."""
    content = json.loads(notebook.read_text("utf-8"))
    assert content["nbformat"] == 4
    for cell in content["cells"]:
        if cell["cell_type"] == kind:
            # Outputs would be somebody's machine's.
            assert not cell.get("outputs")
            yield "".join(cell["source"])


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    settings, *rest = cells(notebook, "code")
    names = {"__name__": "notebook"}
    exec(settings, names)
    assert set(SMALL) <= set(names)
    names |= SMALL
    if "wavelets" in notebook.stem:
        # AlexNet's convolutions leave nothing of less.
        names["size"] = 48
    for number, cell in enumerate(rest, 2):
        exec(compile(cell, f"{notebook.name}, cell {number}", "exec"), names)


def test_there_is_one_for_each_way_in():
    names = {path.stem for path in NOTEBOOKS}
    assert names == {
        *("own_model", "train_and_read", "to_a_phone"),
        "what_the_wavelets_learned",
    }
    for notebook in NOTEBOOKS:
        first = next(cells(notebook, "markdown"))
        assert first.startswith("# ")
