"""`kerafer demo`."""

from __future__ import annotations

import contextlib
import shlex

from kerafer.cli.options import Int
from kerafer.console import console, silence
from kerafer.errors import UserError
from kerafer.model_files import DEFAULT_MODEL


def demo(
    *,
    model: str | None = None,
    port: Int = 8000,
    install: bool = False,
    write: str | None = None,
    force: bool = False,
) -> None:
    """Serve a web page that runs the model in the browser.

    Args:
        model: A .tflite file or an export. Default: the included model.
        port: Port of 127.0.0.1. 0 takes any free port.
        install: Install LiteRT.js and a face detector for browsers with npm,
            and exit. Without them, Python runs the model.
        write: Write the page as a folder for any web server, and exit.
        force: Overwrite the folder of --write.
    """
    if not 0 <= port < 2**16:
        raise UserError(f"`port` must be 0 to 65535. Received: {port}.")
    if install:
        from kerafer.demo.litert_js import install_litert_js

        _print(f"LiteRT.js is in {install_litert_js()}.")
        return
    model = model or DEFAULT_MODEL
    if write is not None:
        from kerafer.demo.page import write_page

        with silence():
            folder = write_page(model, write, force)
        _print(
            f"The page is in {folder}, for any web server. To look at it:\n\n"
            f"    python -m http.server --directory {shlex.quote(str(folder))}"
        )
        return
    from kerafer.demo.server import DemoServer

    # LiteRT prints its delegate.
    with silence():
        server = DemoServer(model, port)
    _print(f"{server.model.file} on\n\n    {server.address}\n")
    if "/litert/index.js" not in server.files:
        _print(
            "Python runs the model, as LiteRT.js is not installed. Install it "
            "with kerafer demo --install."
        )
    _print("Stop with Ctrl-C.")
    with server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


def _print(text: str) -> None:
    console.print(text, soft_wrap=True)
