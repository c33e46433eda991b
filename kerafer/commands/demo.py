"""`kerafer demo`: a page where the model runs in the browser."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import shlex

from kerafer.console import console
from kerafer.model_files import DEFAULT_MODEL
from kerafer.quiet import stderr_held_back
from kerafer.settings import Settings, add_flags, from_flags, setting


@dataclasses.dataclass(frozen=True)
class DemoConfig(Settings):
    """The flags of `kerafer demo`."""

    model: str | None = setting(
        None,
        "a .tflite file, or the folder of an export; else the one that "
        "kerafer brings",
    )
    port: int = setting(
        8000, "of 127.0.0.1; 0 takes any that is free", least=0, most=65535
    )
    install: bool = setting(
        False,
        "install LiteRT.js and a face detector for browsers with npm, once, "
        "and end; without them Python runs the model",
    )
    write: str | None = setting(
        None,
        "write the page there as a folder for any web server, where browsers "
        "find the faces too, and end",
        metavar="FOLDER",
    )
    force: bool = setting(
        False, "replace what is there in the folder of --write"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    add_flags(parser, DemoConfig)


def run(parsed: argparse.Namespace) -> int:
    """Install, or serve until Ctrl-C."""
    config = from_flags(DemoConfig, parsed)
    if config.install:
        return _install()
    if config.write is not None:
        return _write(config, config.write)
    from kerafer.demo.server import DemoServer

    # LiteRT tells of its delegate.
    with stderr_held_back():
        server = DemoServer(_model(config), config.port)
    console.print(f"{server.model.file} on\n", soft_wrap=True)
    console.print(f"    {server.address}\n", soft_wrap=True)
    if "/litert/index.js" not in server.files:
        console.print(
            "Python runs the model: LiteRT.js is not installed. kerafer demo "
            "--install does it.",
            soft_wrap=True,
        )
    console.print("Ctrl-C ends it.")
    with server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


def _install() -> int:
    from kerafer.demo.litert_js import install_litert_js

    folder = install_litert_js()
    console.print(f"LiteRT.js is in {folder}.", soft_wrap=True)
    return 0


def _write(config: DemoConfig, out: str) -> int:
    from kerafer.demo.page import write_page

    with stderr_held_back():
        folder = write_page(_model(config), out, config.force)
    console.print(
        f"The page is in {folder}, for any web server. To look at it:\n\n"
        f"    python -m http.server --directory {shlex.quote(str(folder))}\n",
        soft_wrap=True,
    )
    return 0


def _model(config: DemoConfig) -> str:
    return config.model or DEFAULT_MODEL
