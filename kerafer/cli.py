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

_SHORT = re.compile("-[a-zA-Z]+")
# By flag of ours, what other programs of this field call it.
_SAME_MEANING = {
    "out": "o output output-dir output-folder output-path out-dir outdir "
    "save save-dir save-path dest destination project logdir log-dir",
    "format jsonl": "json jsonl",
    "format csv": "csv",
    "formats": "format quantize quantization include",
    "formats int8": "int8",
    "formats float16": "float16",
    "formats onnx": "onnx",
    "model": "m arch architecture backbone net network weights checkpoint "
    "ckpt model-path model-name model-file run",
    "arch": "m model architecture backbone net network model-name",
    "init-from": "weights checkpoint ckpt pretrained finetune fine-tune load",
    "data-dir": "data data-path data-root dataset-dir dataset-path root "
    "input-dir images-dir",
    "images": "data data-path calibration-data representative-dataset",
    "dataset": "d data dataset-name",
    "learning-rate": "lr lr0 l-rate base-lr max-lr",
    "batch-size": "b bs batch batchsize",
    "epochs": "e ep num-epochs n-epochs max-epochs nepochs",
    "image-size": "img imgsz img-size imagesize size input-size resolution "
    "input-shape target-size",
    "channels 1": "gray grey grayscale greyscale",
    "optimizer": "opt optim",
    "weight-decay": "wd decay l2",
    "schedule": "scheduler lr-scheduler lr-schedule sched",
    "schedule cosine": "cos-lr cosine",
    "warmup-epochs": "warmup",
    "augment": "aug augmentation augmentations",
    "label-smoothing": "smoothing",
    "mix mixup": "mixup",
    "mix cutmix": "cutmix",
    "mix-alpha": "mixup-alpha cutmix-alpha",
    "loss focal": "focal focal-loss",
    "class-weights balanced": "balanced class-weight class-balanced weighted",
    "ema": "ema-decay model-ema",
    "freeze-until": "freeze freeze-at frozen",
    "teacher": "teachers teacher-model distill distillation",
    "patience": "early-stop early-stopping",
    "precision": "amp fp16 bf16 half mixed-precision dtype",
    "deterministic": "reproducible",
    "seed": "s random-seed random-state manual-seed",
    "split": "val-split validation-split",
    "subset": "part eval-split",
    "split subject": "subject-independent person-independent",
    "folds": "cv kfold k-fold kfolds k-folds num-folds cross-validation",
    "subject-pattern": "subject-regex person-pattern",
    "people": "subjects num-subjects persons",
    "config": "c cfg conf config-file yaml recipe",
    "resume": "continue restart resume-from",
    "devices": "device gpu gpus num-gpus ngpu",
    "devices all": "multi-gpu",
    "num-processes": "nnodes nodes num-nodes world-size nproc",
    "process-id": "rank node-rank",
    "coordinator": "master-addr master",
    "threads": "num-threads nthreads workers num-workers cpus j jobs",
    "face-crop": "crop align face-detection",
    "face-margin": "margin padding crop-margin expand-percentage",
    "detector": "detector-backend face-detector crop",
    "detector none": "no-detection no-crop skip-detection whole-image",
    "labels": "classes class-names label-names names",
    "class": "target-class target",
    "method": "explainer cam",
    "camera": "cam webcam video-device",
    "seconds": "duration time max-seconds",
    "every": "stride frame-stride vid-stride skip skip-frames frame-skip "
    "detect-every interval",
    "half-life": "smooth smoothing ema-alpha",
    "rows-only": "no-images no-video no-annotate no-save nosave no-copies",
    "tta": "flips flip augment test-time-augmentation",
    "against": "compare compare-to baseline versus vs",
    "calibration": "calibration-images calib calibration-size num-samples",
    "near": "hamming distance max-distance threshold",
    "clean": "fix cleaned",
    "also-on": "external external-test test-data",
    "allow-drop": "ignore-gates no-gates",
    "force": "f y yes overwrite exist-ok replace",
    "port": "p",
    "write": "out output export static",
    "tables": "table",
    "figures": "figure",
    "figure-format": "fig-format figure-type",
    "models": "archs arch model only",
    "executor ray": "ray",
    "runs": "repeats num-runs n-runs trials seeds",
    "version": "v V",
    "help": "?",
}
SYNONYMS: dict[str, list[str]] = {}
for _ours, _words in _SAME_MEANING.items():
    for _word in _words.split():
        SYNONYMS.setdefault(_word, []).append(_ours)


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
        is_flag = flag.startswith("--") or _SHORT.fullmatch(flag)
        if is_flag and flag not in flags:
            parser.error(f"Unknown option: {flag}.{_suggest(flag, flags)}")


def _suggest(flag: str, flags: Collection[str]) -> str:
    """Ask about the flag that has the same meaning, or is spelled alike."""
    name = flag.lstrip("-").replace("_", "-").lower()
    for meant in SYNONYMS.get(name, ()):
        if f"--{meant.partition(' ')[0]}" in flags:
            return f" Did you mean --{meant}?"
    if not flag.startswith("--") or name.startswith("no-"):
        return ""
    return did_you_mean(name, [f.lstrip("-") for f in flags], 0.75).replace(
        "mean ", "mean --"
    )


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
