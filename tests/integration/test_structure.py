"""What the package's shape promises."""

import ast
import importlib
import os
import re
import subprocess
from pathlib import Path

import pytest
from harness import run_python

from kerafer import cli

PACKAGE = Path(cli.__file__).parents[1]
ROOT = PACKAGE.parent
# Data flows one way: a room imports from those before it alone.
ROOMS = (
    "faces",
    "datasets",
    "layers",
    "models",
    "inference",
    "evaluation",
    "training",
    "export",
    "runtime",
    "explain",
    "demo",
    "reproduction",
    "cli",
)


def imports(file):
    """Every module of kerafer that a file names, wherever it does."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{a.name}" for a in node.names)


def room(module):
    """The room of a dotted name; `None` for what stands before all."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else None


def test_data_flows_one_way():
    checked = 0
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE).parts
        here = parts[0] if len(parts) > 1 else None
        assert here is None or here in ROOMS, f"{here} is a room without place"
        for module in imports(file):
            there = room(module) if module.startswith("kerafer.") else None
            if there is None or parts in (("__init__.py",), ("__main__.py",)):
                continue
            checked += 1
            assert here is not None, f"{file} imports from {there}"
            assert ROOMS.index(there) <= ROOMS.index(here), (
                f"{file} imports backwards from {there}"
            )
    assert checked > 50


def test_the_tests_have_the_rooms_of_the_package():
    apart = {"integration", "clients", "browser", "faults"}
    folders = {file.parent for file in (ROOT / "tests").rglob("test_*.py")}
    names = {folder.name for folder in folders if folder != ROOT / "tests"}
    assert names == apart | set(ROOMS)


def test_no_module_imports_itself_by_way_of_others():
    """Imports in functions count too; those for types alone do not."""
    files = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(ROOT).with_suffix("").parts
        if parts[-1] != "__init__":
            files[".".join(parts)] = file
    needs = {
        name: {module for module in happens(file) if module in files} - {name}
        for name, file in files.items()
    }
    while free := {name for name, others in needs.items() if not others}:
        needs = {
            name: others - free
            for name, others in needs.items()
            if name not in free
        }
    # What is left needs one of a circle.
    circle = {name for name in needs if needed_by(name, needs)}
    assert circle == set()


def happens(file):
    """The modules that a file imports when it runs."""
    waiting = [ast.parse(file.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{a.name}" for a in node.names)
        waiting += ast.iter_child_nodes(node)


def needed_by(name, needs):
    """Whether a module is needed by one that it needs."""
    seen, waiting = set(), [name]
    while waiting:
        new = needs[waiting.pop()] - seen
        seen |= new
        waiting += new
    return name in seen


def test_importing_does_nothing(tmp_path):
    """No TensorFlow, no folder, no variable, no warning filter."""
    program = """
        import os, sys, warnings
        before = dict(os.environ), list(warnings.filters)
        import kerafer, kerafer.cli
        assert (dict(os.environ), list(warnings.filters)) == before
        assert not {"tensorflow", "keras", "pandas"} & set(sys.modules)
        assert os.listdir(".") == [], os.listdir(".")
        assert {"create_model", "load_model"} <= set(dir(kerafer))
        try:
            kerafer.nothing
        except AttributeError as error:
            assert "nothing" in str(error)
    """
    here = os.getcwd()
    os.chdir(tmp_path)
    try:
        run_python(program)
    finally:
        os.chdir(here)


def test_files_name_nothing_of_the_workplace():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True
    ).stdout.splitlines()
    assert listed
    home = str(Path("/", "work", ""))
    for name in listed:
        file = ROOT / name
        if file.suffix in (".py", ".md", ".cfg", ".toml", ".yaml", ".csv"):
            text = file.read_text(encoding="utf-8")
            assert not re.search(rf"(?<![\w.]){home}\b", text), name
            assert "\t" not in text or file.suffix == ".csv", name


def test_no_picture_of_a_person_is_in_the_repository():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True
    ).stdout.splitlines()
    photographs = [
        name
        for name in listed
        if Path(name).suffix.lower() in (".jpg", ".jpeg", ".bmp", ".tiff")
    ]
    assert photographs == []


@pytest.mark.parametrize(
    "module",
    ["kerafer", "kerafer.datasets", "kerafer.evaluation"],
)
def test_an_editor_knows_every_lazy_name(module):
    """The imports that types are read from are those that happen."""
    package = importlib.import_module(module)
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    known = {
        alias.asname: (node.module, alias.name)
        for node in block.body
        for alias in node.names
    }
    assert set(known) == set(package.__all__) - {"__version__"}
    for name, (home, there) in known.items():
        found = getattr(importlib.import_module(home), there)
        assert getattr(package, name) is found


def test_commands_are_thin():
    files = [PACKAGE / "cli" / f"{name}.py" for name in cli.COMMANDS]
    for file in files:
        assert file.read_text(encoding="utf-8").count("\n") <= 110, file
    lines = [
        f.read_text("utf-8").count("\n") for f in files[0].parent.glob("*.py")
    ]
    assert sum(lines) <= 1200


def test_the_library_names_settings_not_flags():
    """A flag is the command's word; whole commands may be quoted."""
    # A flag alone is a word for a process, one beside others is told.
    flag = re.compile(r"(?<![\w-])--[a-z][a-z-]*\S*\s+\S|\S\s+--[a-z]")
    command = re.compile("kerafer (?:train|export|predict|demo)")
    told, strings = [], 0
    for file in PACKAGE.rglob("*.py"):
        where = file.relative_to(PACKAGE)
        if where.parts[0] in ("cli", "errors.py"):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            text = getattr(node, "value", None)
            if isinstance(node, ast.Constant) and isinstance(text, str):
                strings += 1
                if flag.search(text) and not command.search(text):
                    told.append(f"{where}: {text[:60]}")
    assert told == []
    assert strings > 1000
