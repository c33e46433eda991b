"""That what the documentation names is there."""

import doctest
import importlib
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

import kerafer

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]


EXAMPLES = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for file in (ROOT / "kerafer").rglob("*.py")
    if ">>> " in file.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_of_docstrings_say_what_happens(name):
    module = importlib.import_module(name)
    known = {"keras": keras, "kerafer": kerafer, "np": np}
    found = doctest.testmod(module, extraglobs=known)
    assert found.attempted and not found.failed


def test_most_layers_have_an_example():
    layers = [name for name in EXAMPLES if ".layers." in name]
    assert len(layers) > 8


def resolve(name):
    """The object of a dotted name, a module or in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize(
    "page", sorted((DOCS / "api").glob("*.md")), ids=lambda page: page.stem
)
def test_the_reference_is_of_what_there_is(page):
    names = re.findall(r"^::: (\S+)$", page.read_text("utf-8"), re.M)
    assert names
    for name in names:
        assert resolve(name).__doc__, name


def test_all_that_one_imports_from_kerafer_is_in_the_reference():
    import kerafer

    text = "".join(
        page.read_text("utf-8") for page in (DOCS / "api").glob("*.md")
    )
    others = {
        "__version__": "",
        "UserError": "kerafer.errors",
    }
    for name in kerafer.__all__:
        told = others.get(name, name)
        assert told in text, name
    from kerafer import layers

    for name in layers.__all__:
        assert f".{name}\n" in text, name


def test_links_lead_somewhere():
    links = 0
    for page in PAGES:
        text = page.read_text("utf-8")
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[\w-]+)?\)", text):
            if "://" not in target:
                links += 1
                assert (page.parent / target).exists(), (page.name, target)
    assert links > 50


def test_files_that_contributing_names_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"`([a-z0-9_/]+(?:/|\.py))`", text))
    assert len(named) > 30
    folders = (ROOT, ROOT / "kerafer", ROOT / "tests")
    for name in named:
        assert any((folder / name).exists() for folder in folders), name


def test_anchors_lead_somewhere():
    """A heading's anchor is its words, small, with hyphens."""
    anchors = 0
    for page in PAGES:
        text = page.read_text("utf-8")
        for target, anchor in re.findall(r"\]\(([^)#\s:]*)#([\w-]+)\)", text):
            file = page.parent / target if target else page
            headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.M)
            known = {
                re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-")
                for line in headings
            }
            anchors += 1
            assert anchor in known, (page.name, target, anchor)
    assert anchors > 3


def test_every_page_is_in_the_site():
    # The theme's own tags are of no matter here.
    text = (DOCS / "site" / "mkdocs.yml").read_text("utf-8")
    pages = []

    def collect(entry):
        if isinstance(entry, str):
            pages.append(entry)
        else:
            for value in entry.values() if isinstance(entry, dict) else entry:
                collect(value)

    collect(yaml.safe_load(text)["nav"])
    there = [page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")]
    assert sorted(pages) == sorted(there)
