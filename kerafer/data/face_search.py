"""Where the face is, found once and kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kerafer.console import console, track
from kerafer.data.cache import cache_folder
from kerafer.data.cores import available_cores
from kerafer.data.dataset import Dataset
from kerafer.data.faces import Box
from kerafer.data.found_faces import FoundFaces, Stamp
from kerafer.data.images import UnreadableImageError
from kerafer.data.mtcnn_search import Detector, mtcnn_detector
from kerafer.errors import UserError
from kerafer.lifetimes import with_package

# A process takes 0.9 GB, and as long to start as for about 50 pictures.
_MOST_WORKERS = 4
_PICTURES_A_WORKER = 50

_COMMAND = [sys.executable, "-P", "-m", "kerafer.data.face_worker"]


def find_faces(
    dataset: Dataset,
    detector: Detector | None = None,
    workers: int | None = None,
) -> list[Box | None]:
    """Find the face on every picture.

    What was found is written down picture by picture in the user's cache
    folder, so an interrupted search goes on where it was, and a second one
    returns at once. A file that has changed is searched again, the others are
    not. How many pictures a second were searched is said at the end.

    Args:
        dataset: The pictures.
        detector: Takes uint8 RGB and returns the box of one face or `None`.
            Defaults to MTCNN; another's results are not kept, and neither are
            those of a set that has neither files nor a fingerprint.
        workers: Processes that search a set of files; 1 is this one. What is
            found does not depend on it. Defaults to one for each core, at
            most 4, and fewer for fewer than 200 pictures.

    Returns:
        One box a picture, `None` where no face was found.

    Raises:
        UnreadableImageError: For a file that is no picture.
        UserError: If one of the processes ends before its time, or if
            `workers` is less than 1.
    """
    if workers is not None and workers < 1:
        raise UserError(
            f"Faces are found by 1 process or more. Received: {workers}."
        )
    paths = dataset.manifest["path"].tolist()
    if detector is not None:
        return [detector(dataset.read_image(path)) for path in paths]
    if dataset.read is not None and not dataset.fingerprint:
        return [box for _, box in _search(dataset, paths, 1)]
    stamps = {path: _stamp(dataset, path) for path in paths}
    found = FoundFaces(_file(dataset))
    missing = [path for path, stamp in stamps.items() if stamp not in found]
    if missing:
        workers = _workers(dataset, len(missing), workers)
        began = time.perf_counter()
        search = _search(dataset, missing, workers)
        with found.adding(), contextlib.closing(search):
            for path, box in track(search, "Finding faces", len(missing)):
                found.add(stamps[path], box)
        _tell(len(missing), time.perf_counter() - began, workers)
    return [found[stamps[path]] for path in paths]


def _workers(dataset: Dataset, pictures: int, asked: int | None) -> int:
    if dataset.read is not None:
        return 1
    if asked is not None:
        return asked
    useful = pictures // _PICTURES_A_WORKER
    return max(1, min(available_cores(), _MOST_WORKERS, useful))


def _tell(pictures: int, seconds: float, workers: int) -> None:
    console.print(
        f"Faces were searched on {pictures:,} pictures in {seconds:.1f} s, "
        f"{pictures / seconds:.1f} a second, by {workers} "
        f"process{'es' if workers > 1 else ''}."
    )


def _file(dataset: Dataset) -> Path:
    facts = [str(dataset.root and dataset.root.resolve()), dataset.fingerprint]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return cache_folder("faces") / f"{dataset.name}-{key}.jsonl"


def _stamp(dataset: Dataset, path: str) -> Stamp:
    if dataset.read is not None:
        return path, 0, 0
    status = (dataset.root / path).stat()
    return path, status.st_size, status.st_mtime_ns


def _search(
    dataset: Dataset, paths: list[str], workers: int
) -> Iterator[tuple[str, Box | None]]:
    """Every path with its box, in their order."""
    if workers > 1:
        yield from _in_processes(dataset.root.absolute(), paths, workers)
        return
    detector = mtcnn_detector()
    for path in paths:
        yield path, detector(dataset.read_image(path))


def _in_processes(
    root: Path, paths: list[str], workers: int
) -> Iterator[tuple[str, Box | None]]:
    """The same, by processes.

    They are programs of their own, not `multiprocessing`'s: those run the
    user's script once more, and stay behind when this process is killed.
    """
    idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()

    def ask(path: str) -> Box | None:
        worker = idle.get()
        try:
            return worker.ask(root / path)
        finally:
            idle.put(worker)

    with contextlib.ExitStack() as stack:
        for _ in range(workers):
            idle.put(stack.enter_context(_Worker()))
        pool = ThreadPoolExecutor(workers)
        stack.callback(pool.shutdown, cancel_futures=True)
        yield from zip(paths, pool.map(ask, paths), strict=True)


class _Worker:
    """A process that runs `face_worker`."""

    def __enter__(self) -> _Worker:
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="ascii",
            env=with_package(),
            # Ctrl-C is for this process, which then ends the other.
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def ask(self, path: Path) -> Box | None:
        try:
            self._process.stdin.write(f"{json.dumps(os.fspath(path))}\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        except (OSError, ValueError):
            raise UserError(self._fate(path)) from None
        if "unreadable" in answer:
            raise UnreadableImageError(*answer["unreadable"])
        return answer["box"] and tuple(answer["box"])

    def _fate(self, path: Path) -> str:
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip()
        last = said.splitlines()[-1] if said else "it was killed"
        return (
            f"A process that finds faces has ended before its time ({last}), "
            f"at {path}.\nEach takes about 0.9 GB of memory. What was found is "
            "kept: the same command goes on from there."
        )
