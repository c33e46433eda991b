"""The `kerafer` command; `scripts/*.py` are its subcommands one by one."""

from __future__ import annotations

import argparse
import difflib
import errno
import importlib
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

import kerafer
from kerafer.console import on_the_screen
from kerafer.errors import UserError, shown
from kerafer.extras import MissingExtraError, extra_for
from kerafer.files import is_full
from kerafer.lifetimes import end_with_parent, interrupts_kept

# What a user's path may bring about.
_PLACES = (
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM),
    *(errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EIO, errno.ENODEV),
)

COMMANDS = {
    "train": "train a model on a data set and test it",
    "evaluate": "score a model on pictures, or two models against each other",
    "audit": "look for what makes a split or a data set misleading",
    "explain": "show where a model looks and what its wavelets learned",
    "reproduce": "make the article's tables and figures, ours beside its",
    "synthesize": "write the drawn faces out as files, named like KDEF's",
    "export": "write a trained model as files for other machines",
    "predict": "tell the expressions on pictures, videos or a camera",
    "demo": "serve a page where the model runs in the browser",
    "benchmark": "measure images per second on this machine",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after the program's name. Defaults to the process'.

    Returns:
        The exit code: 0, 2 after a mistake of the user, 130 after Ctrl-C.
    """
    given = sys.argv[1:] if arguments is None else arguments
    words = [_with_home(word) for word in given]
    parser = _Parser(
        prog="kerafer",
        description="Facial expression recognition, from training to phone.",
        epilog="kerafer COMMAND --help tells the flags of a command.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"kerafer {kerafer.__version__}"
    )
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True
    )
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        parser.error(
            f"There is no command {words[0]}.{_nearest(words[0], COMMANDS)}"
        )
    for name, help_line in COMMANDS.items():
        command = commands.add_parser(
            name, help=help_line, description=help_line, allow_abbrev=False
        )
        # Only the command that was asked for pays for its imports.
        if name in words[:1]:
            try:
                with extra_for(f"kerafer {name}"):
                    module = importlib.import_module(f"kerafer.commands.{name}")
                    module.add_arguments(command)
            except MissingExtraError as error:
                print(f"kerafer {name}: {error}", file=sys.stderr)
                return 2
            command.set_defaults(run=module.run)
    if not words:
        parser.print_help()
        return 0
    chosen = commands.choices.get(words[0], parser)
    _check_flags(chosen, words[1:] if words[0] in COMMANDS else words)
    parsed, left = parser.parse_known_args(words)
    if left:
        chosen.error(f"No flag takes {left[0]}.")
    try:
        with (
            on_the_screen(),
            interrupts_kept(),
            extra_for(f"kerafer {parsed.command}"),
        ):
            end_with_parent()
            return parsed.run(parsed) or 0
    except UserError as error:
        print(shown(f"kerafer {parsed.command}: {error}"), file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of the output, such as `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        told = _in_words(error)
        if not told:
            raise
        print(shown(f"kerafer {parsed.command}: {told}"), file=sys.stderr)
        return 2
    except MemoryError:
        print(
            f"kerafer {parsed.command}: There is not enough memory for this.",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print(f"kerafer {parsed.command}: interrupted", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in two lines, without all flags before it."""

    def error(self, message: str) -> NoReturn:
        told = f"{self.prog}: {message}\n{self.prog} --help tells more."
        print(shown(told), file=sys.stderr)
        raise SystemExit(2)


def _check_flags(parser: _Parser, words: Sequence[str]) -> None:
    """Refuse unknown flags before argparse misses others for want of them."""
    flags = [flag for a in parser._actions for flag in a.option_strings]
    for word in words:
        if word == "--":
            return
        flag = word.partition("=")[0]
        if flag.startswith("--") and flag not in flags:
            parser.error(f"There is no {flag}.{_nearest(flag, flags)}")


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), 1)
    return f" Did you mean {near[0]}?" if near else ""


def _in_words(error: OSError) -> str:
    """What the system said, where it is about a place of the user's."""
    if is_full(error):
        place = f": {error.filename}" if error.filename else ""
        return (
            f"The disk is full{place}. Nothing half written was left; make "
            "room, and run this again."
        )
    if error.filename is None or error.errno not in _PLACES:
        return ""
    return f"{error.strerror}: {os.fsdecode(error.filename)}"


def _with_home(word: str) -> str:
    """A word whose `~/` the shell left alone, for its quotes or its `=`."""
    parts = re.split(r"(^|[=,])(?=~(?:[/\\]|$))", word)
    return "".join(
        os.path.expanduser(part) if part.startswith("~") else part
        for part in parts
    )
