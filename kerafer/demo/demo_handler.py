"""One request to the page's server."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, BinaryIO

from kerafer.demo.page_files import MOST_BYTES
from kerafer.errors import UserError

if TYPE_CHECKING:
    from kerafer.demo.demo_server import DemoServer

_BODY_SECONDS = 60
_ANSWER_SECONDS = 120
_DRAIN_SECONDS = 5
_STEP = 2**16
_HOSTS = ("127.0.0.1", "localhost")


class DemoHandler(BaseHTTPRequestHandler):
    """Answer GET from the server's table, and POST with the model.

    Requests for another host's name are refused, or a page elsewhere could
    let its name point to this machine and read the answers; so are posts
    that another page sends.
    """

    server: DemoServer
    server_version = "kerafer"
    sys_version = ""
    # Seconds; who sends nothing for so long has gone.
    timeout = 10

    def parse_request(self) -> bool:
        """Read the headers; from here on the connection is not idle."""
        asked = super().parse_request()
        if asked:
            self.server.has_asked(self.request)
        return asked

    def do_GET(self) -> None:
        """Send a file of the table."""
        if not self._is_for_us():
            return
        found = self.server.files.get(self.path.partition("?")[0])
        if found is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        kind, content = found
        if isinstance(content, bytes):
            self._start(HTTPStatus.OK, kind, len(content))
            self._write(io.BytesIO(content))
            return
        with open(content, "rb") as stream:
            self._start(HTTPStatus.OK, kind, content.stat().st_size)
            self._write(stream)

    def do_HEAD(self) -> None:
        """Send what GET would, without the content."""
        self.do_GET()

    def do_POST(self) -> None:
        """Answer with what the model or the detector says."""
        if not self._is_for_us():
            return
        path = self.path.partition("?")[0]
        if path not in ("/faces", "/predict"):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        body = self._body()
        if body is None:
            return
        try:
            answer = self._faces(body) if path == "/faces" else self._read(body)
        except UserError as error:
            self._send(HTTPStatus.BAD_REQUEST, {"error": str(error)})
            return
        self._send(HTTPStatus.OK, answer)

    def send_error(
        self, code: int, message: str | None = None, explain: str | None = None
    ) -> None:
        """Send an error as JSON, like every other answer to the page."""
        text = message or HTTPStatus(code).phrase
        self._send(HTTPStatus(code), {"error": f"{text}."})

    def end_headers(self) -> None:
        """Add what holds for every answer."""
        for name, value in (
            ("Content-Security-Policy", self.server.policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Permissions-Policy", "camera=(self), microphone=()"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing is logged."""

    def _is_for_us(self) -> bool:
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        ours = host.partition(":")[0] in _HOSTS
        if ours and origin in (None, f"http://{host}"):
            return True
        self.send_error(HTTPStatus.FORBIDDEN)
        return False

    def _body(self) -> bytes | None:
        """What was posted; `None` where it is refused, which it is told."""
        told = self.headers.get("Content-Length", "")
        if not told.isascii() or not told.isdigit():
            self.send_error(HTTPStatus.LENGTH_REQUIRED)
            return None
        if int(told) > MOST_BYTES:
            most = f"An image has at most {MOST_BYTES // 1_000_000} MB"
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, most)
            self._drain()
            return None
        body = self._received(int(told))
        if len(body) != int(told):
            self.send_error(HTTPStatus.BAD_REQUEST)
            return None
        return body

    def _received(self, size: int) -> bytes:
        """So many bytes, or those that came within the time there is."""
        until = time.monotonic() + _BODY_SECONDS
        parts, left = [], size
        while left and time.monotonic() < until:
            part = self.rfile.read1(min(left, _STEP))
            if not part:
                break
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _drain(self) -> None:
        """Take in what still comes: closed at once, the answer would be lost.

        A system resets a connection that is closed with bytes unread.
        """
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(1)
            until = time.monotonic() + _DRAIN_SECONDS
            while time.monotonic() < until and self.connection.recv(_STEP):
                pass

    def _faces(self, body: bytes) -> dict[str, Any]:
        return {"boxes": self.server.model.find_faces(body)}

    def _read(self, body: bytes) -> dict[str, Any]:
        expected = self.server.model.image_bytes
        if len(body) != expected:
            raise UserError(
                "An image to predict is R, G and B of each pixel of the "
                f"model's size, {expected} bytes. Received: {len(body)}."
            )
        return {"probabilities": self.server.model.predict(body)}

    def _send(self, status: HTTPStatus, told: dict[str, Any]) -> None:
        text = json.dumps(told).encode()
        self._start(status, "application/json", len(text))
        self._write(io.BytesIO(text))

    def _write(self, content: BinaryIO) -> None:
        if self.command == "HEAD":
            return
        until = time.monotonic() + _ANSWER_SECONDS
        while part := content.read(_STEP):
            if time.monotonic() > until:
                raise TimeoutError
            self.wfile.write(part)

    def _start(self, status: HTTPStatus, kind: str, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()
