"""The page that runs a model in the browser: its server, and its install."""

import argparse
import base64
import contextlib
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_models
from PIL import Image

from kerafer.commands import demo
from kerafer.datasets.synthetic.dataset import draw_image
from kerafer.demo import (
    DemoServer,
    find_litert_js,
    install_litert_js,
    write_page,
)
from kerafer.demo.examples import examples
from kerafer.errors import UserError
from kerafer.faces.crops import crop
from kerafer.images import fit
from kerafer.runtime import (
    EmotionRecognizer,
    MtcnnOpencvDetector,
    shipped_model,
)

PAGE = Path(demo.__file__).parents[1] / "demo" / "page"
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
    told = answer.status, answer.headers, answer.read()
    connection.close()
    return told


def told(server, *request, **headers):
    """Status and JSON of an answer."""
    status, _, body = ask(server, *request, **headers)
    return status, json.loads(body)


class InlineScripts(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.inside, self.texts = False, []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.inside = tag == "script" and "src" not in dict(attributes)

    def handle_data(self, data):
        if self.inside:
            self.texts.append(data)
            self.inside = False


def test_the_policy_lets_in_the_page_and_nothing_else(server):
    status, headers, body = ask(server, "GET", "/")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    (script,) = InlineScripts(body.decode()).texts
    expected = base64.b64encode(sha256(script.encode()).digest()).decode()
    rules = dict(
        rule.strip().split(" ", 1)
        for rule in headers["Content-Security-Policy"].split(";")
    )
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [
        "'self'",
        "'wasm-unsafe-eval'",
        f"'sha256-{expected}'",
    ]
    for name in ("style-src", "img-src", "connect-src"):
        assert rules[name] == "'self'"
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_every_file_that_the_page_names_is_served(server):
    kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    named = set(
        re.findall(
            r'(?:src|href)="\.(/[^"]*)"', (PAGE / "index.html").read_text()
        )
    )
    for script in PAGE.glob("*.js"):
        named |= {
            f"/{m}" for m in re.findall(r'from "\./(.*)"', script.read_text())
        }
    assert len(named) > 5
    for path in named:
        status, headers, _ = ask(server, "GET", path)
        assert status == 200, path
        assert headers["Content-Type"].startswith(kinds[path.split(".")[-1]])
    assert {f"/{file.name}" for file in PAGE.iterdir()} - named == {
        "/index.html"
    }


def test_the_page_asks_nobody_else():
    for file in PAGE.iterdir():
        text = file.read_text(encoding="utf-8")
        addresses = re.findall(r"\w+://[^\s\"'`]*", text)
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, file


def test_the_page_gets_the_model_and_its_facts(server, model):
    status, facts = told(server, "GET", "/facts.json")
    assert status == 200
    assert facts["model"] == f"{model.parent.name}/float32.tflite"
    assert facts["labels"] == list(tiny_models.LABELS)
    assert facts["input"] == [8, 8, 3]
    assert facts["output"]["scale"] == 0
    assert facts["litert"] is False
    status, headers, body = ask(server, "GET", "/model.tflite")
    assert (status, body) == (200, model.read_bytes())
    assert int(headers["Content-Length"]) == len(body)


def test_the_scale_of_an_output_of_integers_is_told(tmp_path):
    file = tmp_path / "int8.tflite"
    content = tiny_models.to_tflite(quantized=True)
    file.write_bytes(tiny_models.with_labels(content))
    made = DemoServer(file, port=0)
    made.server_close()
    output = json.loads(made.files["/facts.json"][1])["output"]
    # A softmax in 8 bits is in steps of 1/256 from 0.
    assert output == {"scale": 1 / 256, "zero": 0}


def test_examples_are_offered_and_found(server):
    _, facts = told(server, "GET", "/facts.json")
    captions = [face["caption"] for face in facts["examples"]]
    assert len(set(captions)) == 6
    assert captions[0].endswith("happy")
    for face in facts["examples"]:
        status, headers, body = ask(server, "GET", f"/{face['path']}")
        assert (status, headers["Content-Type"]) == (200, "image/png")
        status, answer = told(server, "POST", "/faces", body)
        assert (status, len(answer["boxes"])) == (200, 1)


@pytest.mark.parametrize(
    "model", ["kerafer_edge_ferplus", "kerafer_edge_small_ferplus"]
)
def test_the_models_that_come_along_are_right_on_the_examples(model):
    recognizer = EmotionRecognizer(model)
    words = {"surprised": "surprise", "fearful": "fear"}
    for example in examples():
        (face,) = recognizer.predict_faces(example.png)
        meant = Path(example.name).stem
        assert face.label == words.get(meant, meant)
        assert max(face.probabilities.values()) > 0.5


@pytest.mark.parametrize(
    "path",
    [
        "/index.html",
        "/page/",
        "/../demo_server.py",
        "/..%2fdemo_server.py",
        "//etc/passwd",
        "/litert/index.js",
        "/examples/8.png",
        "//[",
    ],
)
def test_other_paths_are_not_found(server, path):
    assert told(server, "GET", path) == (404, {"error": "Not Found."})


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(server, method):
    assert ask(server, method, "/")[0] == 501


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:8000", None, 200),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", 200),
        ("evil.example", None, 403),
        ("evil.example:8000", "http://evil.example:8000", 403),
        ("127.0.0.1.evil.example:8000", None, 403),
        ("[::1]:8000", None, 403),
        (None, None, 403),
        ("127.0.0.1:8000", "http://evil.example", 403),
        ("127.0.0.1:8000", "null", 403),
        ("127.0.0.1:8000", "http://127.0.0.1:9000", 403),
    ],
)
def test_only_this_page_is_answered(server, host, origin, status):
    body = bytes(8 * 8 * 3)
    for request in (("GET", "/facts.json"), ("POST", "/predict", body)):
        found = ask(server, *request, Host=host, Origin=origin)[0]
        assert found == status, request


def test_the_server_listens_on_this_machine_alone(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_address[1]}/"


def test_faces_are_those_of_the_detector(server):
    picture = np.concatenate([SMILE, SMILE[:, ::-1] // 2 + 60], axis=1)
    expected = [face.box for face in MtcnnOpencvDetector().detect(picture)]
    assert len(expected) == 2
    status, answer = told(server, "POST", "/faces", png(picture))
    assert status == 200
    assert [tuple(box) for box in answer["boxes"]] == expected
    blank = png(np.full((90, 90, 3), 200, np.uint8))
    assert told(server, "POST", "/faces", blank) == (200, {"boxes": []})


def test_predictions_are_the_models(server):
    generator = np.random.default_rng(4)
    pictures = generator.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    for picture in pictures:
        status, answer = told(server, "POST", "/predict", picture.tobytes())
        assert status == 200
        expected = tiny_models.expected(picture)
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)


def test_fifty_posts_at_once_are_answered_right(server):
    generator = np.random.default_rng(4)
    pictures = generator.integers(0, 256, (50, 8, 8, 3), dtype=np.uint8)
    faces = png(SMILE)
    boxes = told(server, "POST", "/faces", faces)[1]

    def post(number):
        if number % 10 == 0:
            return told(server, "POST", "/faces", faces) == (200, boxes)
        body = pictures[number].tobytes()
        status, answer = told(server, "POST", "/predict", body)
        off = answer["probabilities"] - tiny_models.expected(pictures[number])
        return status == 200 and np.abs(off).max() < 1e-5

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(post, range(50)))


def test_head_is_get_without_the_body(server):
    for path in ("/", "/model.tflite", "/facts.json", "/nothing"):
        status, headers, body = ask(server, "GET", path)
        told_status, told_headers, nothing = ask(server, "HEAD", path)
        assert (told_status, nothing) == (status, b"")
        assert int(told_headers["Content-Length"]) == len(body)
        for name in ("Content-Type", "Content-Security-Policy"):
            assert told_headers[name] == headers[name]


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/faces", b"no image", "The image of 8 bytes cannot be read"),
        ("/faces", b"", "the file is empty"),
        ("/faces", png(SMILE)[:-3000], "cannot be read"),
        ("/predict", bytes(191), "192 bytes. Received: 191."),
    ],
)
def test_what_is_no_picture_is_told(server, path, body, message):
    status, answer = told(server, "POST", path, body)
    assert status == 400
    assert message in answer["error"]


def test_posts_are_bounded(server):
    post = ("POST", "/faces", b"")
    # Refused by its length, before any of it has come.
    status, answer = told(server, *post, Content_Length="32000001")
    assert (status, answer["error"]) == (413, "An image has at most 32 MB.")
    for length in (None, "-1", "many", "٣"):
        length = length and length.encode()
        assert ask(server, *post, Content_Length=length)[0] == 411
    assert ask(server, "POST", "/facts.json", b"")[0] == 404


def test_nothing_is_written_about_requests(server, capfd):
    ask(server, "POST", "/faces", png(SMILE))
    ask(server, "POST", "/faces", b"no image")
    ask(server, "GET", "/nothing")
    # A browser that goes away in the middle of a request.
    with socket.create_connection(server.server_address) as away:
        away.sendall(
            b"POST /faces HTTP/1.0\r\nHost: localhost\r\n"
            b"Content-Length: 99\r\n\r\n"
        )
        time.sleep(0.2)
        reset = struct.pack("ii", 1, 0)
        away.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    time.sleep(0.2)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("port", [70000, -1])
def test_a_port_that_cannot_be(model, port):
    with pytest.raises(UserError, match=f"`port` .* Received: {port} "):
        DemoServer(model, port)


def test_a_port_in_use(server, model):
    port = server.server_address[1]
    with pytest.raises(UserError, match=f"0 takes any. Received: {port} "):
        DemoServer(model, port)


def test_models_that_browsers_cannot_take(tmp_path):
    with pytest.raises(UserError, match="There is no"):
        DemoServer(tmp_path / "nothing.tflite")
    (tmp_path / "best.keras").write_bytes(b"")
    for path in (tmp_path, tmp_path / "best.keras"):
        with pytest.raises(UserError, match="kerafer export --model RUN"):
            DemoServer(path)


# --- LiteRT.js


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
        assert told(server, "GET", "/facts.json")[1]["litert"] is True
        for path, name in FILES.items():
            status, headers, body = ask(server, "GET", f"/{path}")
            assert (status, body.decode()) == (200, name)
            kind = {
                ".js": "text/javascript",
                ".wasm": "application/wasm",
                ".tflite": "application/octet-stream",
            }[Path(path).suffix]
            assert headers["Content-Type"].split(";")[0] == kind


def test_a_new_installation_takes_the_place_of_a_broken_one(npm):
    first = install_litert_js()
    lost = first / "node_modules" / FILES["face_detector.tflite"]
    lost.unlink()
    assert find_litert_js() == {}
    assert install_litert_js() == first
    assert lost.is_file() and len(find_litert_js()) == len(FILES)


def test_an_installation_that_fails_leaves_none(npm, monkeypatch):
    monkeypatch.setenv("FAIL", "1")
    with pytest.raises(UserError) as caught:
        install_litert_js()
    lines = str(caught.value).splitlines()
    assert "npm failed with code 1" in lines[0]
    assert lines[1:] == ["    npm error code E404", "    npm error none"]
    assert find_litert_js() == {}
    assert list((npm / "cache" / "kerafer" / "litert.js").iterdir()) == []


def test_without_npm_the_next_step_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"Install Node\.js"):
        install_litert_js()


def test_the_lock_pins_every_package_by_hash_and_names_no_host():
    text = (PAGE.parent / "npm" / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    packages.pop("")
    assert set(packages) == {
        "node_modules/@litertjs/core",
        "node_modules/@litertjs/wasm-utils",
        "node_modules/@mediapipe/face_detection",
    }
    for package in packages.values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"])
        assert package["integrity"].startswith("sha512-")
    assert "://" not in text


# --- the page as a folder


def test_a_folder_holds_all_that_its_page_names(npm, model, tmp_path):
    install_litert_js()
    folder = write_page(model, tmp_path / "a page")
    page = (folder / "index.html").read_text()
    named = set(re.findall(r'(?:src|href)="\./([^"]*)"', page))
    for script in folder.glob("*.js"):
        named |= set(re.findall(r'from "\./(.*)"', script.read_text()))
    facts = json.loads((folder / "facts.json").read_text())
    named |= {example["path"] for example in facts["examples"]} | set(FILES)
    assert [name for name in named if not (folder / name).is_file()] == []
    assert (folder / "model.tflite").read_bytes() == model.read_bytes()
    assert facts["faces"] == "browser"
    # No server will send the policy.
    (policy,) = re.findall(r'Policy" content="([^"]*)"', page)
    (script,) = InlineScripts(page).texts
    expected = base64.b64encode(sha256(script.encode()).digest()).decode()
    assert f"'sha256-{expected}'" in policy
    assert "default-src 'none'" in policy
    notice = (folder / "NOTICE.txt").read_text()
    assert "Apache License" in notice
    assert not (folder / "MODEL_CARD.md").exists()


def test_a_folder_keeps_what_is_there(npm, model, tmp_path):
    install_litert_js()
    (tmp_path / "style.css").write_text("mine")
    (tmp_path / "other.txt").write_text("mine")
    with pytest.raises(UserError, match=r"style\.css already. `force` repl"):
        write_page(model, tmp_path)
    assert not (tmp_path / "index.html").exists()
    write_page(model, tmp_path, force=True)
    assert "mine" not in (tmp_path / "style.css").read_text()
    assert (tmp_path / "other.txt").read_text() == "mine"


def test_a_folder_of_the_model_that_comes_along_has_its_card(npm, tmp_path):
    install_litert_js()
    folder = write_page(shipped_model(), tmp_path / "page")
    assert "FER+" in (folder / "MODEL_CARD.md").read_text()


def test_a_folder_wants_what_is_not_installed(model, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(UserError, match="kerafer demo --install"):
        write_page(model, tmp_path / "page")
    assert not (tmp_path / "page").exists()


@pytest.mark.usefixtures("shown")
def test_the_command_writes_a_folder_and_ends(npm, model, tmp_path, capsys):
    install_litert_js()
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    words = ["--model", str(model), "--write", str(tmp_path / "page")]
    assert demo.run(parser.parse_args(words)) == 0
    assert "python -m http.server --directory" in capsys.readouterr().err
    with pytest.raises(UserError, match="another `write` keeps it"):
        demo.run(parser.parse_args(words))
    assert demo.run(parser.parse_args([*words, "--force"])) == 0


# --- the command


def test_the_command_serves_until_it_is_interrupted(model, tmp_path):
    program = """
import argparse, signal, sys
from kerafer.commands import demo
from kerafer.console import show_progress
# Ignored from the start where the tests run in the background of a shell.
signal.signal(signal.SIGINT, signal.default_int_handler)
parser = argparse.ArgumentParser()
demo.add_arguments(parser)
with show_progress():
    code = demo.run(parser.parse_args())
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
        said = iter(process.stderr.readline, "")
        line = next(line for line in said if "http://127" in line)
        port = int(re.search(r":(\d+)/", line)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
        rest = next(line for line in said if "Ctrl-C" in line)
        process.send_signal(signal.SIGINT)
        rest += process.stderr.read()
        assert process.wait(20) == 0
    assert rest == "Ctrl-C ends it.\n"


@pytest.mark.usefixtures("shown")
def test_the_command_installs_and_ends(npm, capsys):
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    assert demo.run(parser.parse_args(["--install"])) == 0
    assert "LiteRT.js is in" in capsys.readouterr().err
    assert len(find_litert_js()) == len(FILES)


# --- the same pixels in the browser


@pytest.mark.skipif(not shutil.which("node"), reason="there is no Node.js")
def test_pixels_are_the_same_in_the_browser_bit_for_bit(tmp_path):
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
