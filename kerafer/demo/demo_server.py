"""The page's server, for this machine alone."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kerafer.demo.demo_handler import DemoHandler
from kerafer.demo.page_files import (
    PAGE,
    as_text,
    content_security_policy,
    page_files,
    read_page,
)
from kerafer.demo.page_model import PageModel
from kerafer.errors import ConfigError

MOST_CONNECTIONS = 64
_BUSY = (
    b"HTTP/1.0 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    b'Connection: close\r\n\r\n{"error": "Too many at once."}'
)


class DemoServer(ThreadingHTTPServer):
    """Serve the page, its model, and what the page asks Python for.

    It listens on 127.0.0.1 and answers for a fixed table of paths. Images
    that are posted are neither kept nor logged.

    Args:
        model: A .tflite file, or the folder of an export.
        port: Of 127.0.0.1; 0 takes any that is free. Defaults to 8000.

    Attributes:
        address: The page's URL.
        files: Media type, and bytes or file, by path; what GET answers.
        model: Answers to POST.
        policy: The `Content-Security-Policy` of every answer.

    Raises:
        UserError: If there is no such model, or the port can't be had.

    Example:

        with DemoServer("exported/my-run") as server:
            server.serve_forever()
    """

    daemon_threads = True
    # Connections that wait to be accepted; further ones would be reset.
    request_queue_size = 128

    def __init__(self, model: str | os.PathLike[str], port: int = 8000) -> None:
        self.model = PageModel(model)
        files = page_files(self.model, "python")
        self.files: dict[str, tuple[str, bytes | Path]] = {
            f"/{name}": content for name, content in files.items()
        }
        self.files["/"] = self.files.pop(f"/{PAGE}")
        self.policy = as_text(content_security_policy(read_page()))
        self._lock = threading.Lock()
        self._asked: dict[socket.socket, bool] = {}
        try:
            super().__init__(("127.0.0.1", port), DemoHandler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", "ports are 0 to 65535")
            raise ConfigError(
                "`port` is one of 127.0.0.1 that is free; 0 takes any. "
                f"Received: {port} ({reason})."
            ) from None
        self.address = f"http://127.0.0.1:{self.server_address[1]}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin to answer in a thread, of which there is a bounded number.

        Where all are taken, the connection goes that has waited for longest
        without having asked for anything.
        """
        if self._has_room(request):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.sendall(_BUSY)
        self.shutdown_request(request)

    def _has_room(self, request: socket.socket) -> bool:
        """Count a connection in, unless all others have asked for something."""
        with self._lock:
            if len(self._asked) >= MOST_CONNECTIONS:
                idle = next(
                    (x for x, asked in self._asked.items() if not asked), None
                )
                if idle is None:
                    return False
                del self._asked[idle]
                with contextlib.suppress(OSError):
                    idle.shutdown(socket.SHUT_RDWR)
            self._asked[request] = False
        return True

    def has_asked(self, request: socket.socket) -> None:
        """Take a connection for one that is worth a thread."""
        with self._lock:
            if request in self._asked:
                self._asked[request] = True

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        with self._lock:
            self._asked.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong, unless the browser has just gone away."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)
