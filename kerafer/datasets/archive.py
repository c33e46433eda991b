"""Unpack .zip files into the cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from kerafer.console import console, track
from kerafer.datasets.cache import cache_folder
from kerafer.errors import UserError, some_of

MAX_FILES = 1_000_000
MAX_BYTES = 32 * 1024**3

# Bit 11 of an entry's flags.
_UTF8_FLAG = 0x800
_ENCODINGS = (
    *("gb18030", "cp932", "cp949", "big5", "cp866", "cp1251", "cp1252"),
    *("cp437", "cp850"),
)


def unpacked(archive: Path) -> Path:
    """Unpack a .zip into the cache, once for each version of it."""
    archive = Path(archive).absolute()
    status = archive.stat()
    version = f"{archive}\n{status.st_size} {status.st_mtime_ns}"
    key = hashlib.sha256(version.encode(errors="surrogateescape")).hexdigest()
    folder = cache_folder("unpacked") / key[:12] / archive.stem
    return folder if folder.is_dir() else unpack(archive, folder)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a .zip into a new folder, and return the folder.

    `zipfile` writes nothing outside the folder, and no more than the sizes in
    the table of contents, which are checked first. The folder appears under
    its name when it is complete. Hidden files and `__MACOSX` are skipped.

    Raises:
        UserError: If the archive is damaged, encrypted, or larger than
            `MAX_FILES`, `MAX_BYTES` or the free space.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (
            zipfile.ZipFile(archive) as file,
            tempfile.TemporaryDirectory(dir=folder.parent) as draft,
        ):
            _fix_names(archive, file)
            members = [
                member
                for member in file.infolist()
                if not member.is_dir() and not _is_hidden(member.filename)
            ]
            _check_size(archive, members, folder.parent)
            whole = Path(draft, "files")
            whole.mkdir()
            shown = track(members, f"Unpacking {archive.name}", len(members))
            for member in shown:
                file.extract(member, whole)
            try:
                whole.rename(folder)
            except OSError:
                # Another process may have unpacked the same archive meanwhile.
                if not folder.is_dir():
                    raise
    except UserError:
        raise
    # For damaged archives zipfile and the decompressors raise nearly every
    # built-in error.
    except Exception as error:
        raise UserError(f"Cannot unpack {archive}: {error}.") from error
    return folder


def _is_hidden(name: str) -> bool:
    return any(x.startswith((".", "__MACOSX")) for x in name.split("/"))


def _check_size(
    archive: Path, members: list[zipfile.ZipInfo], place: Path
) -> None:
    total = sum(member.file_size for member in members)
    free = shutil.disk_usage(place).free
    if len(members) > MAX_FILES or total > min(MAX_BYTES, free):
        raise UserError(
            f"{archive} contains {len(members):,} files of {total:,} bytes. "
            f"At most {MAX_FILES:,} files of {MAX_BYTES:,} bytes are "
            f"unpacked, and {free:,} bytes are free in {place}."
        )


def _fix_names(archive: Path, file: zipfile.ZipFile) -> None:
    r"""Decode names that are not marked as UTF-8, and warn of a guess.

    `zipfile` decodes them as code page 437, as the format says. Programs on
    Windows write them in the code page of the language instead, others in
    UTF-8 without the mark. Some write `\\` between folders.
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
    for member in file.infolist():
        member.filename = member.filename.replace("\\", os.sep)
    if encoding != "utf-8":
        shown = some_of(sorted(name.decode(encoding) for name in names), 3)
        console.warn(
            f"The names in {archive.name} are not marked as UTF-8; they were "
            f"read as {encoding}: {shown}.\nIf they are wrong, unpack the "
            "archive yourself and give its folder."
        )


def _detect_encoding(names: bytes) -> str:
    try:
        names.decode("utf-8")
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        found = from_bytes(names, cp_isolation=list(_ENCODINGS)).best()
        return found.encoding if found else "cp437"
    return "utf-8"
