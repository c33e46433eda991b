"""That what the documentation names is there."""

import importlib
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]


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
        "Recognizer": "EmotionRecognizer",
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
