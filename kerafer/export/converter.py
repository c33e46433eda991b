"""TensorFlow's converter to LiteRT, in a process of its own.

The converter ends its process at some graphs, without a word, and writes pages
to standard error at others. So it has one: what it takes along is one format.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

import kerafer
from kerafer.errors import UserError
from kerafer.export.graph import FrozenGraph
from kerafer.export.operators import describe_operators, has_loop

QUANTIZED = ("int8",)
_MOST_WORDS = 300
# Bytes of a graph after which the process ends: it gives no memory back.
_LARGE = 50_000_000


class Converter:
    """Converts one graph after the other; a context.

    Example:

        with Converter() as converter:
            content = converter.convert(made, "float16")
    """

    def __init__(self) -> None:
        # Its pipes are there.
        self._process: Any = None

    def __enter__(self) -> Converter:
        self._scratch = tempfile.TemporaryDirectory(prefix="kerafer-")
        self._folder = Path(self._scratch.name)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        self._scratch.cleanup()

    def convert(
        self,
        made: FrozenGraph,
        kind: str,
        images: np.ndarray | None = None,
        floats: bool = False,
    ) -> bytes:
        """A `.tflite` file of a graph, as the converter makes it.

        Args:
            made: Of one image.
            kind: `"float32"`; `"float16"`, weights of 16 bits; `"dynamic"`,
                weights of 8 bits; `"int8"`, weights and activations of 8
                bits.
            images: As the files take them; the ranges of the activations of
                8 bits are those that they have.
            floats: Whether the tensors at both ends of an 8-bit file stay
                floats.

        Raises:
            UserError: Where the converter refuses the graph, or dies of it.
        """
        graph = self._folder / "graph.pb"
        graph.write_bytes(made.graph)
        job: dict[str, Any] = {
            "graph": str(graph),
            "tensors": made.tensors,
            "kind": kind,
            "floats": floats,
            "out": str(self._folder / "out.tflite"),
            "images": None,
        }
        if kind in QUANTIZED:
            job["images"] = str(self._folder / "images.npy")
            np.save(job["images"], np.asarray(images))
        reply = self._ask(job)
        if len(made.graph) > _LARGE:
            self._end()
        if reply is None:
            raise UserError(_describe_end(made))
        if reply:
            raise UserError(_describe_error(reply))
        return Path(job["out"]).read_bytes()

    def _ask(self, job: dict[str, Any]) -> str | None:
        """What the process says; `None` where it ends instead."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__],
                env=_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except (OSError, ValueError):
            line = ""
        if not line:
            self._end()
            return None
        return json.loads(line)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
            process.kill()
            process.wait()
            process.stdout.close()


def _environment() -> dict[str, str]:
    """This environment, in which the process finds the package."""
    folders = [os.path.dirname(kerafer.__path__[0])]
    folders += filter(None, [os.environ.get("PYTHONPATH")])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}


def _describe_end(graph: FrozenGraph) -> str:
    """Explain why the converter's process ended without an answer."""
    if has_loop(graph.operators):
        return (
            "TensorFlow's converter cannot quantize a GRU, LSTM or other "
            "recurrent layer that loops. Create the layer with unroll=True, "
            "which every format takes."
        )
    return (
        "TensorFlow's converter crashed or ran out of memory. Another format "
        "may work: float32 takes the most models."
    )


def _describe_error(error: str) -> str:
    """Explain an error of the converter in one or two lines."""
    outside = set(re.findall(r"'tf\.(\w+)' op is neither", error))
    for names in re.findall(r"^\s*Flex ops: (.*)$", error, re.M):
        outside |= {name.removeprefix("Flex") for name in names.split(", ")}
    if outside:
        return f"LiteRT lacks operators. {describe_operators(outside)}"
    lines = [x.strip() for x in error.splitlines() if "error:" in x.lower()]
    text = (lines or error.strip().splitlines() or [""])[0]
    text = re.sub(r"^.*?error:\s*", "", text)[:_MOST_WORDS]
    return f"TensorFlow's converter does not take this model: {text}"


# === In the process ===


def _work() -> None:
    # What the converter prints must not stand among the replies.
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            _convert(json.loads(line))
            reply = ""
        except Exception as error:
            reply = str(error) or type(error).__name__
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _convert(job: dict) -> None:
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(Path(job["graph"]).read_bytes())
    whole = tf.compat.v1.wrap_function(
        lambda: tf.graph_util.import_graph_def(graph, name=""), []
    )
    given, *answers = (
        whole.graph.get_tensor_by_name(n) for n in job["tensors"]
    )
    function = whole.prune(given, answers)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    kind = job["kind"]
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind in QUANTIZED:
        images = np.load(job["images"], allow_pickle=False)
        converter.representative_dataset = lambda: _ranges(images)
        if not job["floats"]:
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.uint8
    Path(job["out"]).write_bytes(converter.convert())


def _ranges(images: np.ndarray) -> Iterator[list[np.ndarray]]:
    for index, image in enumerate(images):
        image = image[None].astype(np.float32)
        if index == 0 and images.dtype == np.uint8:
            # The input's range is that of an image, not of these images.
            image[0, 0, 0], image[0, 0, -1] = 0.0, 255.0
        yield [image]


if __name__ == "__main__":
    _work()
