"""The files of the page, and the policy that names what it may load."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_IMPORT_MAP = re.compile(rb'<script type="importmap">(.*?)</script>', re.S)


def page_files() -> dict[str, tuple[str, bytes]]:
    """Media type and bytes of every file of the page, by its URL's path."""
    folder = resources.files("kerafer.demo") / "page"
    files = {}
    for file in folder.iterdir():
        kind = _TYPES.get(file.name[file.name.rfind(".") :])
        if kind:
            files[f"/{file.name}"] = (kind, file.read_bytes())
    files["/"] = files.pop("/index.html")
    return files


def content_security_policy(page: bytes) -> str:
    """The strictest policy under which a page works.

    Everything comes from the server itself. Of inline scripts only the page's
    import map counts, by its hash; WebAssembly may be compiled.

    Args:
        page: The HTML, as it is served.
    """
    scripts = ["'self'", "'wasm-unsafe-eval'"]
    for text in _IMPORT_MAP.findall(page):
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        scripts.append(f"'sha256-{digest}'")
    rules = {
        "default-src": "'none'",
        "script-src": " ".join(scripts),
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())
