"""The demo page: its files, server, installation and pixels."""

import base64
import contextlib
import http.client
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_models
from PIL import Image

from kerafer import demo
from kerafer.cli import main
from kerafer.datasets.synthetic.dataset import draw_image
from kerafer.demo import (
    DemoServer,
    find_litert_js,
    install_litert_js,
    write_page,
)
from kerafer.demo.examples import draw_examples
from kerafer.errors import UserError
from kerafer.faces.crops import crop
from kerafer.images import fit
from kerafer.model_files import included_model
from kerafer.runtime import (
    MtcnnOpencvDetector,
    Recognizer,
)

PAGE = Path(demo.__file__).parent / "page"
SMILE = draw_image("AF02/AF02HAS.JPG", 1, (320, 400))


def png(picture):
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


@contextlib.contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    file = tmp_path_factory.mktemp("export") / "float32.tflite"
    file.write_bytes(tiny_models.with_labels(tiny_models.to_tflite()))
    return file


@pytest.fixture(scope="module")
def server(model, tmp_path_factory):
    """One without LiteRT.js."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        made = DemoServer(model, port=0)
    with serving(made):
        yield made


def ask(server, method, path, body=None, **headers):
    """Status, headers and body of an answer; `None` leaves a header out."""
    connection = http.client.HTTPConnection(*server.server_address, timeout=20)
    headers = {name.replace("_", "-"): v for name, v in headers.items()}
    automatic = {"skip_host": "Host" in headers}
    connection.putrequest(method, path, **automatic)
    if body is not None and "Content-Length" not in headers:
        headers["Content-Length"] = str(len(body))
    for name, value in headers.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    received = answer.status, answer.headers, answer.read()
    connection.close()
    return received


def ask_json(server, *request, **headers):
    """Status and JSON of an answer."""
    status, _, body = ask(server, *request, **headers)
    return status, json.loads(body)


def names_in(folder):
    """The files that the page and its scripts name."""
    page = (folder / "index.html").read_text("utf-8")
    names = set(re.findall(r'(?:src|href)="\./([^"]*)"', page))
    for script in folder.glob("*.js"):
        names |= set(re.findall(r'from "\./(.*)"', script.read_text("utf-8")))
    return names


def test_the_policy_of_the_page_allows_its_own_files_only():
    page = (PAGE / "index.html").read_text("utf-8")
    (policy,) = re.findall(
        r'http-equiv="Content-Security-Policy" content="([^"]*)"', page
    )
    rules = dict(rule.split(maxsplit=1) for rule in policy.split(";"))
    (script,) = re.findall(
        r'<script type="importmap">(.*?)</script>', page, re.DOTALL
    )
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("script-src").split() == [
        "'self'",
        "'wasm-unsafe-eval'",
        f"'sha256-{digest}'",
    ]
    assert set(rules.values()) <= {"'self'", "'none'"}
    for file in PAGE.iterdir():
        addresses = re.findall(r"\w+://[^\s\"'`]*", file.read_text("utf-8"))
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, file


def test_every_file_that_the_page_names_is_served(server):
    kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    names = names_in(PAGE)
    assert len(names) > 5
    for name in names:
        status, headers, _ = ask(server, "GET", f"/{name}")
        assert status == 200, name
        assert headers["Content-Type"].startswith(kinds[name.split(".")[-1]])
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
    assert {file.name for file in PAGE.iterdir()} - names == {"index.html"}
    status, headers, body = ask(server, "GET", "/")
    assert (status, body) == (200, (PAGE / "index.html").read_bytes())
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"


def test_the_page_gets_the_model_and_its_facts(server, model):
    status, facts = ask_json(server, "GET", "/facts.json")
    assert status == 200
    assert facts["model"] == f"{model.parent.name}/float32.tflite"
    assert facts["labels"] == list(tiny_models.LABELS)
    assert facts["input"] == [8, 8, 3]
    assert facts["output"]["scale"] == 0
    assert facts["unsure"] == 0.5
    assert facts["litert"] is False
    status, headers, body = ask(server, "GET", "/model.tflite")
    assert (status, body) == (200, model.read_bytes())
    assert int(headers["Content-Length"]) == len(body)
    status, same, nothing = ask(server, "HEAD", "/model.tflite")
    assert (status, nothing) == (200, b"")
    assert same["Content-Length"] == headers["Content-Length"]


def test_the_page_is_told_the_scale_of_an_integer_output(tmp_path):
    file = tmp_path / "int8.tflite"
    content = tiny_models.to_tflite(quantized=True)
    file.write_bytes(tiny_models.with_labels(content))
    made = DemoServer(file, port=0)
    made.server_close()
    output = json.loads(made.files["/facts.json"])["output"]
    # An 8-bit softmax has steps of 1/256 from 0.
    assert output == {"scale": 1 / 256, "zero": 0}


def test_the_included_models_name_the_expressions_of_the_examples(server):
    _, facts = ask_json(server, "GET", "/facts.json")
    assert len(facts["examples"]) == len(draw_examples()) == 5
    words = {"surprised": "surprise"}
    recognizers = [
        Recognizer(name)
        for name in ("kerafer_edge_ferplus", "kerafer_edge_small_ferplus")
    ]
    for example in facts["examples"]:
        status, headers, file = ask(server, "GET", f"/{example['path']}")
        assert (status, headers["Content-Type"]) == (200, "image/png")
        meant = example["caption"].split()[-1]
        for recognizer in recognizers:
            (face,) = recognizer.predict(file)
            assert face.label == words.get(meant, meant)
            assert max(face.probabilities.values()) > 0.5


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:8000", None, 200),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", 200),
        ("evil.example:8000", "http://evil.example:8000", 403),
        ("127.0.0.1.evil.example:8000", None, 403),
        (None, None, 403),
        ("127.0.0.1:8000", "http://evil.example", 403),
        ("127.0.0.1:8000", "null", 403),
        ("127.0.0.1:8000", "http://127.0.0.1:9000", 403),
    ],
)
def test_only_this_page_on_this_machine_is_answered(
    server, host, origin, status
):
    assert server.socket.getsockname()[0] == "127.0.0.1"
    for request in (("GET", "/facts.json"), ("POST", "/predict", bytes(192))):
        found = ask(server, *request, Host=host, Origin=origin)[0]
        assert found == status, request


def test_faces_are_those_of_the_detector(server):
    image = np.concatenate([SMILE, SMILE[:, ::-1] // 2 + 60], axis=1)
    expected = [face.box for face in MtcnnOpencvDetector().detect(image)]
    assert len(expected) == 2
    status, answer = ask_json(server, "POST", "/faces", png(image))
    assert status == 200
    assert ask(server, "GET", "/../server.py")[0] == 404
    assert [tuple(box) for box in answer["boxes"]] == expected
    blank = png(np.full((90, 90, 3), 200, np.uint8))
    assert ask_json(server, "POST", "/faces", blank) == (200, {"boxes": []})


def test_many_posts_at_once_get_the_answers_of_the_model(server):
    generator = np.random.default_rng(4)
    images = generator.integers(0, 256, (50, 8, 8, 3), dtype=np.uint8)

    def is_right(image):
        status, answer = ask_json(server, "POST", "/predict", image.tobytes())
        off = answer["probabilities"] - tiny_models.expected(image)
        return status == 200 and np.abs(off).max() < 1e-5

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(is_right, images))


@pytest.mark.parametrize(
    ("path", "body", "value"),
    [
        ("/faces", b"no image", "8 bytes"),
        ("/faces", png(SMILE)[:-3000], "cannot be read"),
        ("/predict", bytes(191), "191"),
    ],
)
def test_a_body_that_is_no_image_is_an_error(server, path, body, value):
    status, answer = ask_json(server, "POST", path, body)
    assert status == 400
    assert value in answer["error"]


def test_the_size_of_posts_is_limited(server):
    post = ("POST", "/faces", b"")
    # Refused by its length, before any of it has come.
    status, answer = ask_json(server, *post, Content_Length="32000001")
    assert status == 413 and "32 MB" in answer["error"]
    assert ask(server, "POST", "/faces", bytes(32_000_001))[0] == 413
    for length in (None, "-1", "many", "٣"):
        length = length and length.encode()
        assert ask(server, *post, Content_Length=length)[0] == 411
    assert ask(server, "POST", "/facts.json", b"")[0] == 404


def test_ports_that_cannot_be_used_are_an_error(server, model):
    for port in (70000, -1, server.server_address[1]):
        with pytest.raises(UserError, match=f" {port} "):
            DemoServer(model, port)


def test_models_that_browsers_cannot_run_are_an_error(tmp_path):
    (tmp_path / "best.keras").write_bytes(b"")
    for path in (tmp_path / "nothing.tflite", tmp_path):
        with pytest.raises(UserError, match=str(tmp_path)):
            DemoServer(path)


FILES = {
    "litert/index.js": "@litertjs/core/dist/index.js",
    "litert/wasm-utils.js": "@litertjs/wasm-utils/dist/index.js",
    "face_detector.tflite": (
        "@mediapipe/face_detection/face_detection_short_range.tflite"
    ),
} | {
    f"litert/litert_wasm_{name}": f"@litertjs/core/wasm/litert_wasm_{name}"
    for name in (
        "internal.js",
        "internal.wasm",
        "compat_internal.js",
        "compat_internal.wasm",
    )
}


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """An npm that lays the files down, or fails where FAIL is set."""
    program = f"""#!{sys.executable}
import os, sys
from pathlib import Path
Path({str(tmp_path / "asked")!r}).write_text(" ".join(sys.argv[1:]))
assert Path("package-lock.json").is_file() and Path("package.json").is_file()
for name in {tuple(FILES.values())}:
    file = Path("node_modules", name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(name)
if "FAIL" in os.environ:
    told = "npm warn old\\nnpm error code E404\\nnpm error none"
    print(told, file=sys.stderr)
    sys.exit(1)
"""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "npm").write_text(program)
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_npm_installs_what_the_page_asks_for(npm, model):
    assert find_litert_js() == {}
    folder = install_litert_js()
    assert npm / "cache" in folder.parents
    words = (npm / "asked").read_text().split()
    assert words[0] == "ci"
    assert "--ignore-scripts" in words
    with serving(DemoServer(model, port=0)) as server:
        assert ask_json(server, "GET", "/facts.json")[1]["litert"] is True
        for path, name in FILES.items():
            status, headers, body = ask(server, "GET", f"/{path}")
            assert (status, body.decode()) == (200, name)
            kind = {
                ".js": "text/javascript",
                ".wasm": "application/wasm",
                ".tflite": "application/octet-stream",
            }[Path(path).suffix]
            assert headers["Content-Type"].split(";")[0] == kind


def test_a_failed_installation_leaves_none(npm, monkeypatch):
    monkeypatch.setenv("FAIL", "1")
    with pytest.raises(UserError) as caught:
        install_litert_js()
    assert "npm error code E404" in str(caught.value)
    assert "npm warn" not in str(caught.value)
    assert find_litert_js() == {}
    assert list((npm / "cache" / "kerafer" / "litert.js").iterdir()) == []


def test_a_written_folder_is_complete(npm, model, tmp_path):
    with pytest.raises(UserError, match="kerafer demo --install"):
        write_page(model, tmp_path / "page")
    assert not (tmp_path / "page").exists()
    install_litert_js()
    folder = write_page(model, tmp_path / "page")
    facts = json.loads((folder / "facts.json").read_text())
    names = names_in(folder) | set(FILES)
    names |= {example["path"] for example in facts["examples"]}
    assert [name for name in names if not (folder / name).is_file()] == []
    assert (folder / "model.tflite").read_bytes() == model.read_bytes()
    assert facts["faces"] == "browser"
    assert "Apache License" in (folder / "NOTICE.txt").read_text()
    assert not (folder / "MODEL_CARD.md").exists()


def test_a_written_folder_replaces_files_only_if_forced(npm, tmp_path):
    install_litert_js()
    (tmp_path / "style.css").write_text("mine")
    (tmp_path / "other.txt").write_text("mine")
    with pytest.raises(UserError, match=r"style\.css"):
        write_page(included_model(), tmp_path)
    assert not (tmp_path / "index.html").exists()
    write_page(included_model(), tmp_path, force=True)
    assert "mine" not in (tmp_path / "style.css").read_text()
    assert (tmp_path / "other.txt").read_text() == "mine"
    assert "FER+" in (tmp_path / "MODEL_CARD.md").read_text()


def test_the_command_serves_until_it_is_interrupted(model, tmp_path):
    program = """
import signal, sys
from kerafer.cli import main
# Ignored from the start where the tests run in the background of a shell.
signal.signal(signal.SIGINT, signal.default_int_handler)
code = main(["demo", *sys.argv[1:]])
assert not {"tensorflow", "keras"} & set(sys.modules)
sys.exit(code)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program, "--model", model.parent, "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
    )
    with process:
        lines = iter(process.stderr.readline, "")
        line = next(line for line in lines if "http://127" in line)
        port = int(re.search(r":(\d+)/", line)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
        next(line for line in lines if "Ctrl-C" in line)
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.stderr.read()
        assert process.wait(20) == 0


def test_the_command_installs_and_writes(npm, model, tmp_path, capsys):
    assert main(["demo", "--install"]) == 0
    assert len(find_litert_js()) == len(FILES)
    words = ["demo", "--model", str(model), "--write", str(tmp_path / "page")]
    assert main(words) == 0
    assert main(words) == 2
    assert str(tmp_path / "page") in capsys.readouterr().err
    assert main([*words, "--force"]) == 0


@pytest.mark.skipif(not shutil.which("node"), reason="there is no Node.js")
def test_the_page_crops_and_resizes_bit_for_bit_as_python(tmp_path):
    """Boxes over every edge, each axis grown, shrunk, and by whole factors."""
    generator = np.random.default_rng(2)
    sizes = [(1, 1), (5, 300), (64, 128), (96, 32), (128, 128), (192, 64)]
    sizes += generator.integers(2, 300, (40, 2)).tolist()
    cases, expected = [], []
    for index, (height, width) in enumerate(sizes):
        image = generator.integers(0, 256, (height, width, 4), dtype=np.uint8)
        if index % 2:
            image = cv2.GaussianBlur(image, (0, 0), 3)
        x, y = generator.integers(-30, 200, 2).tolist()
        across, down = generator.integers(1, 200, 2).tolist()
        box = [x, y, across, down]
        target = [(64, 64), (48, 48), (96, 64), (24, 30)][index % 4]
        rgb = np.ascontiguousarray(image[..., :3])
        for part in ([0, 0, width, height], box):
            margin = [0.2, 0.0, 0.35][index % 3]
            face = crop(rgb, box, margin) if part is box else rgb
            expected.append((fit(face, (*target, 3)), fit(face, (*target, 1))))
            cases.append(
                {
                    "box": part,
                    "margin": margin,
                    "height": target[0],
                    "width": target[1],
                    "image": [height, width, index],
                }
            )
        (tmp_path / f"{index}.rgba").write_bytes(image.tobytes())
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    shutil.copy(PAGE / "pixels.js", tmp_path / "pixels.mjs")
    (tmp_path / "run.mjs").write_text("""
import { readFileSync, writeFileSync } from "node:fs";
import { cropFace, gray, resize } from "./pixels.mjs";
const answers = [];
for (const each of JSON.parse(readFileSync("cases.json"))) {
  const [height, width, index] = each.image;
  const data = readFileSync(`${index}.rgba`);
  const face = cropFace({ width, height, data }, each.box, each.margin);
  const small = resize(face, each.width, each.height);
  answers.push(small.pixels, gray(small));
}
writeFileSync("answers", Buffer.concat(answers));
""")
    subprocess.run(["node", "run.mjs"], cwd=tmp_path, check=True)
    found = np.fromfile(tmp_path / "answers", np.uint8)
    wanted = np.concatenate([a.ravel() for pair in expected for a in pair])
    np.testing.assert_array_equal(found, wanted)
