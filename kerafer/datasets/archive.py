"""Unpacking a .zip that somebody else has packed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

from kerafer.console import console, track
from kerafer.datasets.cache import cache_folder
from kerafer.errors import UserError, some_of

MAX_FILES = 1_000_000
MAX_FILE_BYTES = 2 * 1024**3
MAX_TOTAL_BYTES = 32 * 1024**3

_MARK = ".unpacked-from"
# Bit 11 of an entry's flags.
_UTF8_FLAG = 0x800
_ENCODINGS = (
    *("gb18030", "cp932", "cp949", "big5", "cp866", "cp1251", "cp1252"),
    *("cp437", "cp850"),
)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a .zip into a folder of its own, once.

    Nothing is written outside of the folder, and nothing before the sizes in
    the table of contents were added up. The folder appears under its name
    when all of it is there; of several processes that unpack at the same time
    one puts it there, and the others take it. Hidden files and `__MACOSX` are
    not unpacked.

    Args:
        archive: The .zip.
        folder: Where its contents go. If it was unpacked from this same
            archive before, nothing happens.

    Returns:
        `folder`.

    Raises:
        UserError: If the archive is damaged or encrypted, if it is larger than
            `MAX_FILES`, `MAX_FILE_BYTES` or `MAX_TOTAL_BYTES` or the free
            space, if a name in it is absolute, has `..` or is a link, or if
            something else stands at `folder`.
    """
    archive, folder = Path(archive), Path(folder)
    if not archive.is_file():
        raise UserError(f"An archive is a file. Received: {archive}.")
    mark = _fingerprint(archive)
    if os.path.lexists(folder):
        if _read_mark(folder) == mark:
            return folder
        raise UserError(
            f"{archive.name} is unpacked to {folder}, where nothing else "
            "stands. Received something not unpacked from this archive as it "
            "is now: give that folder itself, or move it away."
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(archive) as file:
            _fix_names(archive, file)
            members = _members(archive, file)
            _check_sizes(archive, members, folder.parent)
            _write(file, members, folder, mark)
    except UserError:
        raise
    # Of damaged archives zipfile and what decompresses raise nearly every
    # built-in error.
    except Exception as error:
        raise UserError(
            f"The archive {archive} cannot be unpacked: {error}."
        ) from error
    return folder


def unpacked(archive: Path) -> Path:
    """Unpack beside the archive or, where nothing can be written, in a cache.

    See `cache_folder`.
    """
    archive = Path(archive).absolute()
    if _writable(archive.parent):
        return unpack(archive, archive.with_suffix(""))
    key = hashlib.sha256(
        f"{archive}\n{_fingerprint(archive)}".encode(errors="surrogateescape")
    ).hexdigest()[:12]
    return unpack(archive, cache_folder("unpacked") / f"{archive.stem}-{key}")


def _writable(folder: Path) -> bool:
    # Root may write everywhere, also where nobody is meant to.
    if not folder.stat().st_mode & 0o222:
        return False
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _fingerprint(archive: Path) -> str:
    status = archive.stat()
    return f"{archive.name} {status.st_size} {status.st_mtime_ns}"


def _read_mark(folder: Path) -> str | None:
    with contextlib.suppress(OSError, ValueError):
        return (folder / _MARK).read_text(encoding="utf-8")
    return None


def _members(archive: Path, file: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    kept = []
    for member in file.infolist():
        reason = _danger(member)
        if reason:
            raise UserError(
                "The files of an archive stay inside its folder, and none is "
                f"a link or encrypted. Received: {member.filename!r}, which "
                f"{reason}, in {archive}."
            )
        # Some programs on Windows write `\\`, against the format's rules.
        member.filename = member.filename.replace("\\", "/")
        parts = PurePosixPath(member.filename).parts
        if not member.is_dir() and not any(
            part.startswith((".", "__MACOSX")) for part in parts
        ):
            kept.append(member)
    return kept


def _fix_names(archive: Path, file: zipfile.ZipFile) -> None:
    """Decode names that are not marked as UTF-8, and warn of a guess.

    `zipfile` decodes them as code page 437, as the format says. Programs on
    Windows write them in the code page of the language instead, and others in
    UTF-8 without saying so.
    """
    members = [
        member
        for member in file.infolist()
        if not member.flag_bits & _UTF8_FLAG
        and not member.filename.isascii()
        # It differs if the entry has its name in UTF-8 a second time.
        and member.filename == member.orig_filename
    ]
    names = {
        part.encode("cp437")
        for member in members
        for part in member.filename.split("/")
        if not part.isascii()
    }
    encoding = _detect_encoding(b"\n".join(sorted(names)))
    for member in members:
        member.filename = member.filename.encode("cp437").decode(encoding)
    shown = some_of(sorted(name.decode(encoding) for name in names), 3)
    if names and encoding != "utf-8":
        console.warn(
            f"The names in {archive.name} are not marked as UTF-8; they were "
            f"read as {encoding}: {shown}.\nIf they are wrong, unpack the "
            "archive yourself and give its folder."
        )


def _detect_encoding(names: bytes) -> str:
    if _is_utf8(names):
        return "utf-8"
    from charset_normalizer import from_bytes

    found = from_bytes(names, cp_isolation=list(_ENCODINGS)).best()
    return found.encoding if found else "cp437"


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _danger(member: zipfile.ZipInfo) -> str | None:
    name = member.filename
    kind = stat.S_IFMT(member.external_attr >> 16)
    if name.startswith(("/", "\\")) or PureWindowsPath(name).drive:
        return "is absolute"
    if ".." in name.replace("\\", "/").split("/"):
        return "leads out of it"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if member.flag_bits & 1:
        return "is encrypted"
    return None


def _check_sizes(
    archive: Path, members: list[zipfile.ZipInfo], place: Path
) -> None:
    total = sum(member.file_size for member in members)
    largest = max((member.file_size for member in members), default=0)
    free = shutil.disk_usage(place).free
    for what, size, most in (
        ("files", len(members), MAX_FILES),
        ("bytes in one file", largest, MAX_FILE_BYTES),
        ("bytes", total, MAX_TOTAL_BYTES),
        ("bytes, which is what is free,", total, free),
    ):
        if size > most:
            raise UserError(
                f"An archive holds at most {most:,} {what} when unpacked. "
                f"Received: {size:,} in {archive}."
            )


def _write(
    file: zipfile.ZipFile,
    members: list[zipfile.ZipInfo],
    folder: Path,
    mark: str,
) -> None:
    """Write to a folder beside, which is renamed when all is there.

    `zipfile` stops at the size that the table of contents gives and compares
    the checksum, so that a file cannot turn out larger than was added up.
    """
    draft = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder.parent))
    try:
        for member in track(members, f"Unpacking {folder.name}", len(members)):
            file.extract(member, draft)
        (draft / _MARK).write_text(mark, encoding="utf-8")
        draft.chmod(0o755)
        _move(draft, folder, mark)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _move(draft: Path, folder: Path, mark: str) -> None:
    """Rename, unless another process has just put the same there."""
    try:
        draft.rename(folder)
    except OSError:
        if _read_mark(folder) != mark:
            raise
