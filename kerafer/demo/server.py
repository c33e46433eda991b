"""Serve the demo page on this machine."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kerafer.demo.page import MOST_BYTES, PAGE, page_files
from kerafer.demo.page_model import PageModel
from kerafer.errors import ConfigError, UserError

_HOSTS = ("127.0.0.1", "localhost")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}
_HEADERS = {
    # The page itself holds the rest of its policy.
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=()",
    "Cache-Control": "no-store",
}


class DemoServer(ThreadingHTTPServer):
    """Serve the page, its model, and face detection in Python.

    The server listens on 127.0.0.1 only and serves a fixed table of paths. It
    neither keeps nor logs the images that are posted.

    Args:
        model: A .tflite file, or the folder of an export.
        port: Port of 127.0.0.1; 0 chooses a free one. Default: 8000.

    Attributes:
        address: The page's URL.
        files: Content (bytes or a file) of each path.
        model: Finds faces and runs the model for the page.

    Raises:
        UserError: If the model does not exist or the port cannot be used.

    Example:

        with DemoServer("exported/my-run") as server:
            server.serve_forever()
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, model: str | os.PathLike[str], port: int = 8000) -> None:
        self.model = PageModel(model)
        self.files = {
            f"/{name}": content
            for name, content in page_files(self.model, "python").items()
        }
        self.files["/"] = self.files.pop(f"/{PAGE}")
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", "ports are 0 to 65535")
            raise ConfigError(
                f"Cannot listen on `port` {port} of 127.0.0.1: {reason}. "
                "Choose another port; 0 takes a free one."
            ) from None
        self.address = f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report an error, unless the browser closed the connection."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Answer GET from the server's table, and POST with the model.

    Requests that name another host are refused: a foreign page could make
    its own host name resolve to this machine and read the answers. So are
    posts from other pages.
    """

    server: DemoServer
    server_version = "kerafer"
    sys_version = ""
    # Seconds without a byte after which a connection is closed.
    timeout = 10

    def do_GET(self) -> None:
        if not self._is_allowed():
            return
        path = self.path.partition("?")[0]
        content = self.server.files.get(path)
        if content is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        suffix = ".html" if path == "/" else Path(path).suffix
        kind = _TYPES.get(suffix, "application/octet-stream")
        self._send(HTTPStatus.OK, kind, content)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        if not self._is_allowed():
            return
        path = self.path.partition("?")[0]
        if path not in ("/faces", "/predict"):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self.send_error(HTTPStatus.LENGTH_REQUIRED)
            return
        if int(length) > MOST_BYTES:
            self._refuse_body()
            return
        body = self.rfile.read(int(length))
        answer: dict[str, Any]
        try:
            if path == "/faces":
                answer = {"boxes": self.server.model.find_faces(body)}
            else:
                answer = {"probabilities": self.server.model.predict(body)}
        except UserError as error:
            self._send_json(HTTPStatus.BAD_REQUEST, {"error": str(error)})
            return
        self._send_json(HTTPStatus.OK, answer)

    def _is_allowed(self) -> bool:
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        ours = host.partition(":")[0] in _HOSTS
        if ours and origin in (None, f"http://{host}"):
            return True
        self.send_error(HTTPStatus.FORBIDDEN)
        return False

    def _refuse_body(self) -> None:
        most = f"An image has at most {MOST_BYTES // 1_000_000} MB"
        self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, most)
        # Closed with bytes unread, the connection would be reset, and the
        # browser would not see the answer.
        with contextlib.suppress(OSError):
            while self.rfile.read1():
                pass

    def send_error(
        self, code: int, message: str | None = None, explain: str | None = None
    ) -> None:
        """Send an error as JSON, like every other answer."""
        text = message or HTTPStatus(code).phrase
        self._send_json(HTTPStatus(code), {"error": f"{text}."})

    def _send_json(self, status: HTTPStatus, content: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _send(
        self, status: HTTPStatus, kind: str, content: bytes | Path
    ) -> None:
        with (
            io.BytesIO(content)
            if isinstance(content, bytes)
            else open(content, "rb")
        ) as stream:
            length = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(length))
            for name, value in _HEADERS.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                shutil.copyfileobj(stream, self.wfile)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing."""
