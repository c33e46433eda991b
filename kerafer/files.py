"""Files that are whole or not there, and the folders that they go to."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import glob
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from kerafer.errors import ConfigError, UserError, some
from kerafer.locks import locked

# Bytes.
_LONGEST_SUFFIXES = 40
# Of Linux' renameat2.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextlib.contextmanager
def written_beside(file: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path to write to; rename it to `file` when all went well.

    The path has the suffixes of `file`, so writers that look at them work. A
    folder that is missing is made.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    suffixes = "".join(file.suffixes[-2:])
    if len(os.fsencode(suffixes)) > _LONGEST_SUFFIXES:
        suffixes = ""
    # A name that leaves room, however long that of the file is.
    beside = file.with_name(f".{os.getpid()}-{secrets.token_hex(4)}{suffixes}")
    try:
        yield beside
        to_disk(beside)
        os.replace(beside, file)
    finally:
        beside.unlink(missing_ok=True)


def to_disk(file: Path) -> None:
    """Wait until a file is on the disk, or a power cut leaves an empty one."""
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


def is_full(error: OSError) -> bool:
    """Whether an error says that nothing more fits where it was to go."""
    # Windows has no quotas by this name.
    quota = getattr(errno, "EDQUOT", errno.ENOSPC)
    return error.errno in (errno.ENOSPC, quota, errno.EFBIG)


def reserve(file: int, size: int) -> None:
    """Take room on the disk for a file, where the system can.

    Writing to one that has holes, through memory, ends the process where the
    disk is full; this raises.

    Args:
        file: Its descriptor, open for writing.
        size: Bytes.

    Raises:
        OSError: If there is not so much room.
    """
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is None or not size:
        return
    try:
        allocate(file, 0, size)
    except OSError as error:
        # Some file systems can't.
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise


@contextlib.contextmanager
def native_path(path: str | os.PathLike[str]) -> Iterator[str]:
    """Give the path of a file or folder as native libraries can open it.

    OpenCV, LiteRT and TensorFlow take UTF-8 alone: of another name OpenCV
    crashes. FFmpeg takes a relative name with a colon for an address. So the
    path is absolute, and a name that is not UTF-8 gets a link in a private
    folder for as long as the context lasts, for reading and for writing.

    Args:
        path: What to open. A folder to be written must exist.
    """
    whole = os.path.abspath(path)
    # Halves of characters, which stand for bytes that are not UTF-8, do not
    # come through; nor do characters where the locale is not UTF-8.
    if whole.encode("utf-8", "replace") == os.fsencode(whole):
        yield whole
        return
    suffix = Path(whole).suffix
    with tempfile.TemporaryDirectory(prefix="kerafer-") as folder:
        link = os.path.join(folder, f"link{suffix if suffix.isascii() else ''}")
        os.symlink(whole, link)
        yield link


def write_text(file: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 file, whole or not at all."""
    with written_beside(file) as beside:
        beside.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def folder_beside(folder: Path) -> Iterator[Path]:
    """Give a new folder next to `folder`, which is gone afterwards.

    `take_place` puts it where `folder` is. Nobody else writes there meanwhile,
    and what a process left that was killed is put right first.

    Raises:
        UserError: Where another process writes there.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    lock = folder.with_name(f".{folder.name}.lock")
    with locked(lock, f"The folder {folder}"):
        _put_right(folder)
        beside.mkdir()
        try:
            yield beside
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def take_place(beside: Path, folder: Path) -> None:
    """Put a folder where another is, in one step where the system can.

    Elsewhere the other has another name for a moment, under which
    `folder_beside` finds it after a kill.
    """
    for file in beside.rglob("*"):
        if file.is_file():
            to_disk(file)
    if not folder.exists():
        beside.rename(folder)
        return
    if _exchange(beside, folder):
        shutil.rmtree(beside, ignore_errors=True)
        return
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    folder.rename(old)
    try:
        beside.rename(folder)
    except BaseException:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Whether two paths have changed places, which Linux does in one step."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    done = rename(
        _AT_FDCWD,
        os.fsencode(one),
        _AT_FDCWD,
        os.fsencode(other),
        _RENAME_EXCHANGE,
    )
    return done == 0


def _put_right(folder: Path) -> None:
    name = glob.escape(f".{folder.name}")
    for old in sorted(folder.parent.glob(f"{name}.*.old")):
        if not folder.exists():
            old.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    for part in folder.parent.glob(f"{name}.*.part"):
        shutil.rmtree(part, ignore_errors=True)


def remove(path: Path) -> None:
    """Take away a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """sha256 of a file, or of a folder's files with their names."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    lines = [
        f"{digest(file)} {file.relative_to(path).as_posix()}\n"
        for file in sorted(path.rglob("*"))
        if file.is_file()
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def output_folder(
    given: str | os.PathLike[str] | None,
    default: str | os.PathLike[str] | None = None,
    name: str = "`out`",
) -> Path:
    """The folder that results go to, found out before the work is done.

    It is made and written to for a try, which leaves no trace.

    Args:
        given: What the user named, or `None`.
        default: The folder where the user named none.
        name: What the user named it with, for the message. Defaults to
            the setting `out`.

    Raises:
        UserError: If no file could be written there.
    """
    named = default if given is None else given
    folder = "" if named is None else named
    try:
        # Path("") is the current folder, which nobody means by "".
        if not os.fspath(folder):
            raise ValueError("the name is empty")
        if os.path.isfile(folder):
            raise UserError(
                f"{name} is a folder. Received the file {os.fspath(folder)}."
            )
        _try_to_write(Path(folder))
    # ValueError also stands for a name with NUL or half a character in it.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{name} is a folder that can be written. Received: "
            f"{os.fspath(folder)!r} ({reason})."
        ) from None
    return Path(folder)


def results_folder(
    given: str | os.PathLike[str] | None, default: str, force: bool
) -> Path:
    """The `output_folder` of results that may be there already.

    Args:
        given: What the user named, or `None`.
        default: The folder where the user named none, or the first of
            `<default>-2`, `-3` ... that is not there.
        force: Whether what is there may be replaced: the default stays.

    Raises:
        UserError: As `output_folder`.
    """
    folder, number = Path(default), 2
    while not force and folder.exists():
        folder = Path(f"{default}-{number}")
        number += 1
    return output_folder(given, folder)


def keep_results(
    files: Iterable[Path], force: bool, name: str = "`out`"
) -> None:
    """Refuse to replace results that nobody said may go.

    Args:
        files: What will be written.
        force: Whether they may be replaced.
        name: What the user named their folder with, for the message. Defaults
            to the setting `out`.

    Raises:
        ConfigError: Where one of them is there.
    """
    # A name that is too long is an error of `Path.exists`.
    there = [] if force else [str(x) for x in files if os.path.exists(x)]
    if there:
        raise ConfigError(
            f"Results are kept: there is {some(there)} already. `force` "
            f"replaces what is there; another {name} keeps it."
        )


def output_file(given: str | os.PathLike[str], name: str = "`out`") -> Path:
    """The file that a result goes to, found out before the work is done.

    Args:
        given: What the user named; one that is there gets replaced.
        name: What the user named it with, for the message. Defaults to
            the setting `out`.

    Raises:
        UserError: If it could not be written.
    """
    try:
        if not os.fspath(given):
            raise ValueError("the name is empty")
        file = Path(given)
        if file.is_dir() or not file.name:
            raise ValueError("it is a folder")
        # A name that is too long, or with NUL in it, is an error here.
        with contextlib.suppress(FileNotFoundError):
            file.stat()
        _try_to_write(file.parent)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{name} is a file that can be written. Received: "
            f"{os.fspath(given)!r} ({reason})."
        ) from None
    return file


def _try_to_write(folder: Path) -> None:
    # A link may lead to what is not there yet.
    folder = Path(os.path.realpath(folder))
    with _made(folder), tempfile.TemporaryFile(dir=folder):
        pass


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder, and take away again what was not there before."""
    new = []
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            break
        new.append(place)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for place in new:
            # Another process may have put something there by now.
            with contextlib.suppress(OSError):
                place.rmdir()
