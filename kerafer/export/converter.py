"""Convert graphs to LiteRT in a process of their own.

TensorFlow's converter crashes on some graphs, and writes pages to standard
error on others. In a separate process it takes only one format along.
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
from typing import Any

import numpy as np

import kerafer
from kerafer.errors import UserError
from kerafer.export.graph import FrozenGraph
from kerafer.export.operators import describe_operators, has_loop

_MOST_WORDS = 300
# Bytes of a graph after which the process ends: it gives no memory back.
_LARGE = 50_000_000


class Converter:
    """Converts one graph after the other; a context.

    Example:

        with Converter() as converter:
            content = converter.convert(graph, "float16")
    """

    def __init__(self) -> None:
        self._process: Any = None

    def __enter__(self) -> Converter:
        self._scratch = tempfile.TemporaryDirectory(prefix="kerafer-")
        return self

    def __exit__(self, *error: object) -> None:
        self._end()
        self._scratch.cleanup()

    def convert(
        self,
        graph: FrozenGraph,
        kind: str,
        images: np.ndarray | None = None,
        floats: bool = False,
    ) -> bytes:
        """Convert a graph to a `.tflite` file.

        Args:
            graph: Of one image.
            kind: `"float32"`; `"float16"`, weights of 16 bits; `"dynamic"`,
                weights of 8 bits; `"int8"`, weights and activations of 8
                bits.
            images: Calibrate the ranges of int8; as the files take them.
            floats: Whether int8 files take and give floats.

        Raises:
            UserError: If the converter refuses the graph or crashes.
        """
        folder = Path(self._scratch.name)
        content, out = graph.graph, folder / "out.tflite"
        (folder / "graph.pb").write_bytes(content)
        job = {
            "folder": str(folder),
            "tensors": graph.tensors,
            "kind": kind,
            "floats": floats,
        }
        if kind == "int8":
            np.save(folder / "images.npy", np.asarray(images))
        reply = self._ask(job)
        if len(content) > _LARGE:
            self._end()
        if reply is None:
            raise UserError(_describe_crash(graph))
        if reply:
            raise UserError(_describe_error(reply))
        return out.read_bytes()

    def _ask(self, job: dict[str, Any]) -> str | None:
        """Return the converter's error, `""`, or `None` if it crashed."""
        if self._process is None:
            # The process must find this package.
            paths = [os.path.dirname(kerafer.__path__[0])]
            paths += filter(None, [os.environ.get("PYTHONPATH")])
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
            )
        line = ""
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
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


def calibration_inputs(images: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Yield calibration images as a model of floats takes them.

    Args:
        images: As the exported files take them. Two corner pixels of the
            first uint8 image become 0 and 255: the input's range is that of
            any image, not of these images.
    """
    for index, image in enumerate(images):
        image = image[None].astype(np.float32)
        if index == 0 and images.dtype == np.uint8:
            image[0, 0, 0], image[0, 0, -1] = 0.0, 255.0
        yield [image]


def _describe_crash(graph: FrozenGraph) -> str:
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


def _work() -> None:
    """Answer jobs from standard input, one a line."""
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


def _convert(job: dict[str, Any]) -> None:
    import tensorflow as tf

    from kerafer.export.graph import import_graph

    folder, kind = Path(job["folder"]), job["kind"]
    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString((folder / "graph.pb").read_bytes())
    function = import_graph(graph, job["tensors"])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        images = np.load(folder / "images.npy", allow_pickle=False)
        converter.representative_dataset = lambda: calibration_inputs(images)
        if not job["floats"]:
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.uint8
    (folder / "out.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    _work()
