"""Atomic file writes, locks, and checks of where results go."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from kerafer.errors import ConfigError, UserError, some

# Characters of the suffixes that a temporary name keeps.
_LONGEST_SUFFIXES = 40


@contextlib.contextmanager
def atomic_write(file: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path, and rename it to `file` if no error occurs.

    The path has the suffixes of `file`, because some writers depend on them.
    Missing folders are created.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    # Without the file's name, which may be as long as a name can be.
    suffixes = "".join(file.suffixes[-2:])[-_LONGEST_SUFFIXES:]
    part = file.with_name(f".{os.getpid()}-{secrets.token_hex(4)}{suffixes}")
    try:
        yield part
        sync(part)
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


def write_text(file: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 file atomically.

    Bytes of file names in it that are not UTF-8 are written as `\\udcf6`.
    """
    with atomic_write(file) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


def sync(file: Path) -> None:
    """Wait until a file is on the disk, so that a power cut cannot empty it."""
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())


@contextlib.contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder that replaces `folder` if no error occurs.

    Only one process at a time can replace a folder. If one is killed between
    the two renames, the next call restores the old folder.

    Raises:
        UserError: If another process is replacing the folder.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{folder.name}.part")
    old = folder.with_name(f".{folder.name}.old")
    with locked(folder.with_name(f".{folder.name}.lock"), f"Folder {folder}"):
        if old.exists() and not folder.exists():
            old.rename(folder)
        remove(old)
        remove(part)
        part.mkdir()
        try:
            yield part
            for file in part.rglob("*"):
                if file.is_file():
                    sync(file)
            if folder.exists():
                folder.rename(old)
            part.rename(folder)
        finally:
            remove(part)
            if folder.exists():
                remove(old)


@contextlib.contextmanager
def locked(file: str | os.PathLike[str], what: str) -> Iterator[None]:
    """Hold a lock within the context.

    The lock ends with the process, even if it is killed. Read-only folders
    and file systems without locks are not locked.

    Args:
        file: Lock file, in an existing folder.
        what: What is locked, for the error: `"Run runs/one"`.

    Raises:
        UserError: If another process holds the lock.
    """
    # Only loaded by commands that write.
    import filelock

    lock = filelock.FileLock(file, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise UserError(
            f"{what} is locked by another process.\nWait until it has ended, "
            "or use another folder."
        ) from None
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(file)
        lock.release()


@contextlib.contextmanager
def native_path(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yield a path that native libraries can open.

    OpenCV, LiteRT and TensorFlow require UTF-8; OpenCV crashes on other
    names. FFmpeg takes a relative name with a colon for an address. So the
    path is absolute, and a temporary link replaces a name that is not UTF-8.

    Args:
        path: File or folder. A folder to write to must exist.
    """
    whole = os.path.abspath(path)
    # Python decodes bytes that are not UTF-8 to surrogates, and all names by
    # the locale.
    if whole.encode("utf-8", "replace") == os.fsencode(whole):
        yield whole
        return
    suffix = Path(whole).suffix
    with tempfile.TemporaryDirectory(prefix="kerafer-") as folder:
        link = os.path.join(folder, f"link{suffix if suffix.isascii() else ''}")
        os.symlink(whole, link)
        yield link


def remove(path: Path) -> None:
    """Delete a file or a folder, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def digest(path: Path) -> str:
    """Return the sha256 of a file, or of a folder's files and their names."""
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
    """Return the bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def is_full(error: OSError) -> bool:
    """Return whether an error means that the disk is full."""
    # Windows has no quotas by this name.
    quota = getattr(errno, "EDQUOT", errno.ENOSPC)
    return error.errno in (errno.ENOSPC, quota, errno.EFBIG)


def check_space(folder: Path, needed: int) -> None:
    """Raise an `OSError` if the disk of a folder has too few free bytes."""
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))


def output_folder(
    given: str | os.PathLike[str] | None,
    default: str | os.PathLike[str] = "",
    name: str = "`out`",
) -> Path:
    """Check the folder for results before the work begins.

    Args:
        given: The user's choice.
        default: Folder if `given` is `None`.
        name: Name of the setting, for the error.

    Returns:
        The folder, which need not exist.

    Raises:
        UserError: If no files can be written to it.
    """
    folder = default if given is None else given
    problem = None
    if not os.fspath(folder):
        problem = "the name is empty"
    else:
        whole = Path(os.path.abspath(folder))
        nearest = next(x for x in (whole, *whole.parents) if os.path.exists(x))
        if not nearest.is_dir():
            problem = f"{nearest} is a file"
        elif not os.access(nearest, os.W_OK):
            problem = f"no permission to write to {nearest}"
    if problem:
        raise UserError(
            f"{name} is not a folder that can be written: "
            f"{os.fspath(folder)!r} ({problem}). Choose another folder."
        )
    return Path(folder)


def results_folder(
    given: str | os.PathLike[str] | None, default: str, force: bool
) -> Path:
    """Choose the folder for results.

    Args:
        given: The user's choice. `None` selects the first of `<default>`,
            `<default>-2`, ... that does not exist.
        default: See `given`.
        force: Use `<default>` even if it exists.

    Raises:
        UserError: If no files can be written to it.
    """
    folder, number = Path(default), 2
    while not force and folder.exists():
        folder = Path(f"{default}-{number}")
        number += 1
    return output_folder(given, folder)


def keep_results(
    files: Iterable[Path], force: bool, name: str = "`out`"
) -> None:
    """Refuse to overwrite existing results.

    Args:
        files: The files that will be written.
        force: Allow it.
        name: Name of the setting of their folder, for the error.

    Raises:
        ConfigError: If one of them exists.
    """
    # Unlike `Path.exists`, this accepts names that are too long.
    existing = [] if force else [str(x) for x in files if os.path.exists(x)]
    if existing:
        raise ConfigError(
            f"{some(existing)} exists. Use `force` to overwrite it, or choose "
            f"another {name}."
        )
