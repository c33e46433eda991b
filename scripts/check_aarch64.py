"""Run verify_export.py on an emulated ARM processor, a Cortex-A72.

python scripts/check_aarch64.py exported/wca_mcnn

It unpacks Debian's Python for arm64 and the aarch64 wheels of LiteRT and NumPy
into a folder and runs them with qemu's user emulation. Nothing is installed and
nobody needs to be root. It takes a Debian machine whose apt and pip are set up
for their archives.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERIFY = Path(__file__).with_name("verify_export.py")
WHEELS = ("ai-edge-litert>=2.1,<3", "numpy>=1.26,<3")
# LiteRT reads here which instructions there are; 0xd08 is the Cortex-A72.
CPUINFO = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""


def main() -> int:
    """Set everything up, run, and return the exit code of verify_export.py."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="what an export wrote")
    folder = parser.parse_args().folder.resolve()
    if not (folder / "golden.npz").is_file():
        return fail(f"An exported folder has a golden.npz. None in {folder}.")
    if not VERIFY.is_file():
        return fail(f"The check runs {VERIFY.name}, which is not beside it.")
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            return fail(f"This check needs Debian's {program}.")
    with tempfile.TemporaryDirectory(prefix="kerafer-aarch64-") as work:
        try:
            return check(folder, Path(work))
        except subprocess.CalledProcessError as error:
            words = " ".join(map(str, error.cmd))
            return fail(f"{words}\n{error.stderr or error.stdout or ''}")


def check(folder: Path, work: Path) -> int:
    """Run verify_export.py on `folder`, with everything needed in `work`."""
    qemu = find_qemu(work)
    root = work / "root"
    unpack(["python3", "libstdc++6"], "arm64", work / "arm64", root)
    python = next((root / "usr/bin").glob("python3.*[0-9]"))
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text(CPUINFO)
    packages = root / "packages"
    unpack_wheels(python.name.removeprefix("python"), work / "wheels", packages)
    print(f"{python.name} on an emulated Cortex-A72", flush=True)
    command = (qemu, "-cpu", "cortex-a72", "-L", root, python, VERIFY, folder)
    environment = os.environ | {
        "PYTHONPATH": str(packages),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
    }
    environment.pop("PYTHONHOME", None)
    return subprocess.run(command, env=environment).returncode


def find_qemu(work: Path) -> str:
    """The emulator: the machine's, or one unpacked for this run."""
    for name in ("qemu-aarch64-static", "qemu-aarch64"):
        if shutil.which(name):
            return name
    machine = run("dpkg", "--print-architecture").strip()
    root = work / "qemu"
    unpack(["qemu-user-static"], machine, work / "host", root, alone=True)
    return str(root / "usr/bin/qemu-aarch64-static")


def unpack(
    packages: list[str],
    architecture: str,
    work: Path,
    root: Path,
    alone: bool = False,
) -> None:
    """Unpack Debian packages into `root`, with what they depend on.

    apt gets a state of its own, in which nothing is installed, and the
    machine's list of archives.
    """
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures::": architecture,
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
        "Dir::State": work,
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
    }
    apt = ["apt-get", "-q", "-y"]
    for name, value in settings.items():
        apt += ["-o", f"{name}={value}"]
    run(*apt, "update")
    archives = work / "cache/archives"
    if alone:
        run(*apt, "download", *packages, cwd=archives)
    else:
        run(
            *(*apt, "install", "--download-only", "--no-install-recommends"),
            *packages,
        )
    root.mkdir()
    for file in sorted(archives.glob("*.deb")):
        run("dpkg-deb", "-x", file, root)


def unpack_wheels(version: str, work: Path, packages: Path) -> None:
    """Unpack LiteRT and NumPy for aarch64 and a version of Python."""
    run(
        *(sys.executable, "-m", "pip", "download", "-q", "-d", work),
        *("--platform", "manylinux_2_27_aarch64"),
        *("--platform", "manylinux_2_28_aarch64"),
        *("--platform", "manylinux2014_aarch64"),
        *("--python-version", version, "--implementation", "cp"),
        *("--only-binary=:all:", *WHEELS),
    )
    for wheel in work.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(packages)


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """The output of a command that must succeed."""
    return subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=cwd
    ).stdout


def fail(message: str) -> int:
    """Say why nothing was checked."""
    print(f"check_aarch64: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    raise SystemExit(main())
