"""The command `kerafer`; each subcommand is a module of this package."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import kerafer
from kerafer.console import console, show_progress
from kerafer.errors import UserError, shown, with_flags
from kerafer.extras import extra_for
from kerafer.files import is_full
from kerafer.signals import interruptible

if TYPE_CHECKING:
    from cyclopts import App, CycloptsError

COMMANDS = {
    "train": "Train a model on a data set and test it.",
    "evaluate": "Score a model on images, or compare two models.",
    "audit": "Find duplicates and leaks between the subsets of a data set.",
    "explain": "Show where a model looks and what its wavelets learned.",
    "reproduce": "Reproduce the tables and figures of the article.",
    "synthesize": "Write synthetic faces as image files.",
    "export": "Export a trained model for phones and other machines.",
    "predict": "Predict expressions on images, videos or a camera.",
    "demo": "Serve a web page that runs the model in the browser.",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after the program's name. Default: those of the
            process.

    Returns:
        The exit code: 0, 2 after a user error, 130 after Ctrl-C, or another
        that the command documents.
    """
    given = sys.argv[1:] if arguments is None else arguments
    words = [_expand_home(word) for word in given]
    command = words[0] if words and words[0] in COMMANDS else ""
    name = f"kerafer {command}".strip()
    flags: Collection[str] = ()
    try:
        with show_progress(), interruptible(), extra_for(name):
            from cyclopts import CycloptsError

            if command:
                # cyclopts would hide which import failed.
                importlib.import_module(f"kerafer.cli.{command}")
            app = make_app()
            flags = _flags(app[command]) if command else ()
            console.flags = flags
            try:
                run, bound, _ = app.parse_args(
                    words, print_error=False, exit_on_error=False
                )
            except CycloptsError as error:
                raise UserError(
                    f"{_describe(error, words, flags)}\nTry '{name} --help'."
                ) from None
            return run(*bound.args, **bound.kwargs) or 0
    except UserError as error:
        told, code = with_flags(str(error), flags), 2
    except BrokenPipeError:
        # The reader of the output, such as `head`, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        place = error.filename and os.fsdecode(error.filename)
        if not place and not is_full(error):
            raise
        reason = "The disk is full" if is_full(error) else error.strerror
        told, code = f"{reason}: {place or error}", 2
    except MemoryError:
        told, code = "Not enough memory.", 2
    except KeyboardInterrupt as stop:
        told, code = str(stop) or "interrupted", 130
    print(shown(f"{name}: {told}"), file=sys.stderr)
    return code


def make_app() -> App:
    """Return the application. A command's module is loaded when it is used."""
    from cyclopts import App, Group, Parameter

    from kerafer.cli.help import HelpFormatter

    app = App(
        name="kerafer",
        help="Facial expression recognition, from training to phone.",
        version=f"kerafer {kerafer.__version__}",
        help_format="plaintext",
        help_formatter=HelpFormatter(),
        help_epilogue="Show the options of a command: kerafer COMMAND --help",
        group_parameters=Group("Options", sort_key=0),
        default_parameter=Parameter(
            negative=(), consume_multiple=False, allow_repeating=True
        ),
        suppress_keyboard_interrupt=False,
    )
    for order, (name, text) in enumerate(COMMANDS.items()):
        app.command(
            f"kerafer.cli.{name}:{name}",
            name=name,
            help=text,
            help_epilogue="",
            sort_key=order,
        )
    app.register_install_completion_command(add_to_startup=True)
    return app


def _flags(app: App) -> list[str]:
    names = [n for one in app.assemble_argument_collection() for n in one.names]
    return [name for name in names if not name.startswith("--no-")]


def _describe(
    error: CycloptsError, words: Sequence[str], flags: Collection[str]
) -> str:
    from cyclopts import MissingArgumentError, UnusedCliTokensError

    from kerafer.cli.synonyms import suggest

    for word in words:
        flag = word.partition("=")[0]
        if re.match("--?[a-zA-Z]", flag) and flag not in flags:
            return f"Unknown option: {flag}.{suggest(flag, flags)}"
    if isinstance(error, UnusedCliTokensError):
        return f"Unexpected argument: {error.unused_tokens[0]}."
    if isinstance(error, MissingArgumentError) and error.argument:
        name = error.argument.name
        hint = f" Write {name}=-1 if it starts with -." if name in words else ""
        return f"{name} needs a value.{hint}"
    return str(error)


def _expand_home(word: str) -> str:
    """Expand `~/` in `--out=~/x` or quotes, which the shell does not."""
    parts = re.split(r"(^|[=,])(?=~(?:[/\\]|$))", word)
    return "".join(
        os.path.expanduser(part) if part.startswith("~") else part
        for part in parts
    )
