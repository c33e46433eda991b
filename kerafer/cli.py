"""The `kerafer` command; `scripts/*.py` are its subcommands one by one."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import re
import sys
from collections.abc import Collection, Sequence
from typing import NoReturn

import kerafer
from kerafer.console import console, show_progress
from kerafer.errors import UserError, did_you_mean, shown, with_flags
from kerafer.extras import extra_for
from kerafer.files import is_full
from kerafer.lifetimes import end_with_parent, interruption, interrupts_kept

# What a user's path may bring about.
_PLACES = (
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM),
    *(errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EIO, errno.ENODEV),
)

COMMANDS = {
    "train": "train a model on a data set and test it",
    "evaluate": "score a model on images, or two models against each other",
    "audit": "look for what makes a split or a data set misleading",
    "explain": "show where a model looks and what its wavelets learned",
    "reproduce": "make the article's tables and figures, ours beside its",
    "synthesize": "write the synthetic faces out as files, named like KDEF's",
    "export": "write a trained model as files for other machines",
    "predict": "tell the expressions on images, videos or a camera",
    "demo": "serve a page where the model runs in the browser",
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
    name = f"kerafer {words[0]}" if words else "kerafer"
    flags: Collection[str] = ()
    try:
        with show_progress(), interrupts_kept(), extra_for(name):
            parsed, flags = _parse(words)
            if parsed is None:
                return 0
            end_with_parent()
            console.flags = flags
            return parsed.run(parsed) or 0
    except UserError as error:
        told, code = with_flags(str(error), flags), 2
    except BrokenPipeError:
        # The reader of the output, such as `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        told, code = _in_words(error), 2
        if not told:
            raise
    except MemoryError:
        told, code = "There is not enough memory for this.", 2
    except KeyboardInterrupt as stop:
        told, code = interruption(stop), 130
    print(shown(f"{name}: {told}"), file=sys.stderr)
    return code


def _parse(
    words: Sequence[str],
) -> tuple[argparse.Namespace | None, list[str]]:
    """What the flags say, and which flags the command has.

    Without any word help is printed, and nothing is said.
    """
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
    chosen = parser
    for name, help_line in COMMANDS.items():
        command = commands.add_parser(
            name, help=help_line, description=help_line, allow_abbrev=False
        )
        # Only the command that was asked for pays for its imports.
        if name in words[:1]:
            module = importlib.import_module(f"kerafer.commands.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
            chosen = command
    if not words:
        parser.print_help()
        return None, []
    if chosen is parser and not words[0].startswith("-"):
        parser.error(
            f"There is no command {words[0]}.{did_you_mean(words[0], COMMANDS)}"
        )
    _check_flags(chosen, words)
    parsed, left = parser.parse_known_args(words)
    if left:
        chosen.error(f"No flag takes {left[0]}.")
    return parsed, _flags(chosen)


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in two lines, without all flags before it."""

    def error(self, message: str) -> NoReturn:
        told = f"{self.prog}: {message}\n{self.prog} --help tells more."
        print(shown(told), file=sys.stderr)
        raise SystemExit(2)


def _flags(parser: argparse.ArgumentParser) -> list[str]:
    return [flag for a in parser._actions for flag in a.option_strings]


def _check_flags(parser: _Parser, words: Sequence[str]) -> None:
    """Refuse unknown flags before argparse misses others for want of them."""
    flags = _flags(parser)
    for word in words:
        if word == "--":
            return
        flag = word.partition("=")[0]
        if flag.startswith("--") and flag not in flags:
            parser.error(f"There is no {flag}.{did_you_mean(flag, flags)}")


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
