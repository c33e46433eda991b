"""Convert graphs to LiteRT in a process of their own.

TensorFlow's converter crashes on some graphs, and writes pages to standard
error on others. In a separate process it takes only one format along.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

import numpy as np
from loky import ProcessPoolExecutor
from loky.process_executor import BrokenProcessPool

from kerafer.errors import UserError
from kerafer.export.graph import FrozenGraph, import_graph
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
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Converter:
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

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
        content = graph.graph
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, initializer=_silence)
        job = (content, graph.tensors, kind, images, floats)
        try:
            file, error = self._pool.submit(_convert, *job).result()
        except BrokenProcessPool:
            self._end()
            raise UserError(_describe_crash(graph)) from None
        if len(content) > _LARGE:
            self._end()
        if error:
            raise UserError(_describe_error(error))
        return file

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(kill_workers=True)
            self._pool = None


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


def _silence() -> None:
    """Drop what the converter prints."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)


def _convert(
    content: bytes,
    tensors: Sequence[str],
    kind: str,
    images: np.ndarray,
    floats: bool,
) -> tuple[bytes, str]:
    """Return a `.tflite` file, or the converter's error."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(content)
    function = import_graph(graph, tensors)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind == "int8":
        converter.representative_dataset = lambda: calibration_inputs(images)
        if not floats:
            converter.inference_input_type = tf.uint8
            converter.inference_output_type = tf.uint8
    try:
        return converter.convert(), ""
    # Its errors are of many types, and not all can be sent.
    except Exception as error:
        return b"", str(error) or type(error).__name__
