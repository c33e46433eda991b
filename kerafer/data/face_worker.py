"""The program of a process that finds faces: paths in, boxes out.

It reads the JSON of one path a line from standard input and writes one line of
JSON to standard output: `{"box": [x, y, width, height]}`, `{"box": null}`, or
`{"unreadable": [name, reason]}`. It ends when its input does.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import TextIO

from kerafer.data.images import UnreadableImageError, read_image
from kerafer.data.mtcnn_search import Detector, mtcnn_detector
from kerafer.lifetimes import end_with_parent


def serve(paths: Iterable[str], answers: TextIO, detector: Detector) -> None:
    """Answer line by line.

    Args:
        paths: JSON of one path each.
        answers: Where the answers go.
        detector: Finds the face on a picture.
    """
    for line in paths:
        try:
            answer = {"box": detector(read_image(json.loads(line)))}
        except UnreadableImageError as error:
            answer = {"unreadable": [error.name, error.reason]}
        answers.write(f"{json.dumps(answer)}\n")
        answers.flush()


def _main() -> None:
    end_with_parent()
    # What libraries print goes where errors go.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    from kerafer.engine import load_tensorflow

    load_tensorflow()
    import tensorflow as tf

    # The processes share the cores, one for each.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    serve(sys.stdin, answers, mtcnn_detector())


if __name__ == "__main__":
    _main()
