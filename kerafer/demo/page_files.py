"""The files of the page, and the policy that names what it may load."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources
from pathlib import Path
from typing import Literal

from kerafer.demo.examples import examples
from kerafer.demo.litert_js import find_litert_js
from kerafer.demo.page_model import PageModel
from kerafer.images import MAX_PIXELS

# Of an image that is given to the page.
MOST_BYTES = 32_000_000
_BINARY = "application/octet-stream"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}
_IMPORT_MAP = re.compile(rb'<script type="importmap">(.*?)</script>', re.S)

PAGE = "index.html"
Files = dict[str, tuple[str, bytes | Path]]


def page_files(model: PageModel, faces: Literal["python", "browser"]) -> Files:
    """Media type, and bytes or file, of all that a page loads, by its path.

    Args:
        model: What the page runs.
        faces: Who finds the faces: Python behind the page, or the browser,
            which wants what `install_litert_js` installs.
    """
    folder = resources.files("kerafer.demo") / "page"
    files: Files = {
        file.name: (_kind(file.name), file.read_bytes())
        for file in folder.iterdir()
    }
    files["model.tflite"] = (_BINARY, model.file)
    litert = find_litert_js()
    files |= {name: (_kind(name), file) for name, file in litert.items()}
    tried = [(f"examples/{each.name}", each) for each in examples()]
    files |= {path: ("image/png", each.png) for path, each in tried}
    facts = model.facts() | {
        "faces": faces,
        "litert": bool(litert),
        "most_bytes": MOST_BYTES,
        "most_pixels": MAX_PIXELS,
        "examples": [
            {"path": path, "caption": each.caption} for path, each in tried
        ],
    }
    files["facts.json"] = ("application/json", json.dumps(facts).encode())
    return files


def read_page() -> bytes:
    """The HTML, which `page_files` has too."""
    return (resources.files("kerafer.demo") / "page" / PAGE).read_bytes()


def content_security_policy(page: bytes) -> dict[str, str]:
    """The strictest policy under which a page works, rule by rule.

    Everything comes from the page's own server. Of inline scripts only the
    page's import map counts, by its hash; WebAssembly may be compiled.

    Args:
        page: The HTML, as it is served.
    """
    scripts = ["'self'", "'wasm-unsafe-eval'"]
    for text in _IMPORT_MAP.findall(page):
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        scripts.append(f"'sha256-{digest}'")
    return {
        "default-src": "'none'",
        "script-src": " ".join(scripts),
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


def as_text(policy: dict[str, str]) -> str:
    """A policy as browsers want it."""
    return "; ".join(f"{name} {value}" for name, value in policy.items())


def _kind(name: str) -> str:
    return _TYPES.get(Path(name).suffix, _BINARY)
