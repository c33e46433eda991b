"""What goes wrong on real machines, tried many times.

    python tests/faults/trials.py            all of it, and a table
    python tests/faults/trials.py images     one kind

The tests beside this run a few of each kind (`make test`) or all
(`make test-all`). A trial fails by a traceback, a crash, a hang, something
lost, half-written or outside its folder.
"""

import contextlib
import http.client
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))
# Of one trial, on a loaded machine.
MOST_SECONDS = 300
KERAFER = [sys.executable, "-m", "kerafer"]
TRAIN = [
    *("train", "--arch", "kerafer_edge", "--options", "width=0.25"),
    *("--dataset", "synthetic", "--subjects", "6", "--image-size", "48"),
    *("--augment", "none", "--precision", "float32"),
]


# === What is done to bytes ===


def damaged(content, generator):
    """Bits turned over, cut short, bytes put in, or a stretch of noise."""
    data = bytearray(content)
    kind = generator.randrange(4)
    if kind == 0:
        for _ in range(generator.choice((1, 1, 8, 64))):
            data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    elif kind == 1:
        del data[generator.randrange(len(data)) :]
    elif kind == 2:
        place = generator.randrange(len(data))
        data[place:place] = generator.randbytes(generator.choice((1, 4, 500)))
    else:
        place = generator.randrange(len(data))
        stretch = data[place : place + generator.choice((4, 100))]
        data[place : place + len(stretch)] = generator.randbytes(len(stretch))
    return bytes(data)


def each(count, seed, trial):
    """Run trials; the descriptions of those that failed."""
    failed = []
    for number in range(count):
        generator = random.Random(f"{seed} {number}")
        began = time.monotonic()
        try:
            trial(number, generator)
        except Exception as error:
            failed.append(f"{seed} {number}: {type(error).__name__}: {error}")
        if time.monotonic() - began > MOST_SECONDS:
            failed.append(f"{seed} {number}: took too long")
    return failed


# === Files from elsewhere ===


def images(count):
    """Malformed images, in every format."""
    from PIL import Image

    from kerafer.images import UnreadableImageError, read_image

    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    kinds = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM", "JPEG2000")
    whole = []
    for kind in kinds:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, kind)
        whole.append(stream.getvalue())

    def trial(number, generator):
        content = damaged(whole[number % len(whole)], generator)
        with contextlib.suppress(UnreadableImageError):
            image = read_image(content)
            if image.dtype != np.uint8 or image.ndim != 3:
                raise AssertionError(f"{image.dtype} {image.shape}")

    return each(count, "images", trial)


def archives(count):
    """Damaged and hostile archives."""
    from kerafer.datasets.archive import unpack
    from kerafer.errors import UserError

    methods = (
        zipfile.ZIP_STORED,
        zipfile.ZIP_DEFLATED,
        zipfile.ZIP_BZIP2,
        zipfile.ZIP_LZMA,
    )
    names = ("a/b.txt", "c.png", "../out", "/abs", "d/../../e", "C:\\x", "f")

    def trial(number, generator):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", methods[number % 4]) as archive:
            for name in generator.sample(names[: 2 + number % 6], 2):
                archive.writestr(name, generator.randbytes(300) * 3)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "in", "a.zip")
            file.parent.mkdir()
            file.write_bytes(damaged(stream.getvalue(), generator))
            target = Path(folder, "out", "here")
            with contextlib.suppress(UserError):
                unpack(file, target)
            left = {p.name for p in Path(folder, "out").glob("*")}
            if left - {"here"} or len(list(Path(folder).iterdir())) > 2:
                raise AssertionError(f"left behind: {left}")

    return each(count, "archives", trial)


def keras_files(count):
    """Damaged .keras files."""
    import tiny_models

    from kerafer.errors import UserError
    from kerafer.models import load_model

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.keras")
        tiny_models.to_keras().save(file)
        whole = file.read_bytes()

        def trial(number, generator):
            if number % 2:
                content = damaged(whole, generator)
            else:
                content = _repacked(whole, generator)
            file.write_bytes(content)
            with contextlib.suppress(UserError):
                load_model(file)

        return each(count, "keras", trial)


def _repacked(whole, generator):
    """A whole archive with one damaged file in it, whose checksum is right."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(whole)) as old,
        zipfile.ZipFile(stream, "w") as new,
    ):
        names = old.namelist()
        chosen = generator.choice(names)
        for name in names:
            content = old.read(name)
            if name == chosen:
                content = damaged(content, generator)
            new.writestr(name, content)
    return stream.getvalue()


def tflite_files(count):
    """Damaged .tflite files, in a process, as LiteRT is not Python."""
    import tiny_models

    with tempfile.TemporaryDirectory() as folder:
        whole = tiny_models.with_labels(tiny_models.to_tflite())
        Path(folder, "whole.tflite").write_bytes(whole)
        done = subprocess.run(
            [sys.executable, __file__, "--tflite", folder, str(count)],
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            return [f"the process ended with {done.returncode}: {last}"]
        return json.loads(done.stdout.splitlines()[-1])


def _tflite_trials(folder, count):
    from kerafer.errors import UserError
    from kerafer.runtime import Recognizer

    whole = Path(folder, "whole.tflite").read_bytes()
    file = Path(folder, "damaged.tflite")
    image = np.zeros((8, 8, 3), np.uint8)

    def trial(number, generator):
        file.write_bytes(damaged(whole, generator))
        with contextlib.suppress(UserError):
            Recognizer(file).probabilities([image])

    print(json.dumps(each(count, "tflite", trial)))


def texts(count):
    """Damaged configurations, splits, histories and manifests."""
    from kerafer.errors import UserError
    from kerafer.foreign import parse_yaml, read_json
    from kerafer.settings import read_yaml
    from kerafer.tables import read_table
    from kerafer.training.config import TrainingConfig

    written = {
        "config.yaml": "arch: wca_mcnn\ndataset: kdef\nepochs: 3\n"
        "options: {ratio: 8}\nseed: 1\n",
        "bomb.yaml": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b, *b]\n",
        "deep.yaml": "[" * 3000,
        "odd.yaml": "? {a: 1}\n: 2\n? [1]\n: 2001-99-99\n",
        "split.csv": "path,label,part\na.png,happy,train\nb.png,sad,test\n",
        "manifest.json": json.dumps({"input": {"shape": [1, 2, 2, 3]}}),
        "deep.json": "[" * 100_000,
    }

    def trial(number, generator):
        name = list(written)[number % len(written)]
        content = written[name].encode()
        if number >= len(written):
            content = damaged(content, generator)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, name)
            file.write_bytes(content)
            allowed = (UserError, ValueError)
            with contextlib.suppress(*allowed):
                if file.suffix == ".yaml":
                    with contextlib.suppress(UserError):
                        TrainingConfig(**read_yaml(TrainingConfig, file))
                    parse_yaml(content.decode("utf-8"))
                elif file.suffix == ".json":
                    read_json(file)
                else:
                    read_table(file)

    return each(count, "texts", trial)


# === Kills, and two at once ===


def run(words, folder, **options):
    """A command in a process of its own, with its own caches."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": os.environ.get(
            "XDG_CACHE_HOME", str(Path(folder, "cache"))
        ),
    }
    return subprocess.Popen(
        [*KERAFER, *map(str, words)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def ended(process, codes=(0,)):
    """What a process printed, or an error where it ended otherwise."""
    try:
        said, _ = process.communicate(timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    if process.returncode not in codes or "Traceback" in said:
        tail = " / ".join(said.strip().splitlines()[-3:])
        raise AssertionError(f"ended with {process.returncode}: {tail}")
    return said


def killed(process, seconds, how):
    """Whether a process still ran when it was killed."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(how)
        process.communicate()
        return True
    process.communicate()
    return False


def train_kills(count):
    """`kerafer train`, killed at any moment, goes on and ends right."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*TRAIN, "--epochs", "4", "--out"]
        ended(run([*words, "whole"], folder))

        def trial(number, generator):
            out = Path(folder, f"run{number}")
            how = generator.choice((signal.SIGKILL, signal.SIGTERM))
            process = run([*words, out], folder)
            killed(process, generator.uniform(4, 16), how)
            again = ["train", "--resume", out]
            if not (out / "config.yaml").is_file():
                shutil.rmtree(out, ignore_errors=True)
                again = [*words, out]
            if not (out / "metrics.json").is_file():
                ended(run(again, folder))
            _same_run(out, Path(folder, "whole"))
            shutil.rmtree(out)

        return each(count, "train", trial)


def _same_run(one, other):
    rows = [
        (path / "history.csv").read_text().count("\n") for path in (one, other)
    ]
    metrics = [
        json.loads((p / "metrics.json").read_text()) for p in (one, other)
    ]
    if rows[0] != rows[1] or metrics[0]["epochs"] != metrics[1]["epochs"]:
        raise AssertionError(f"{rows[0]} rows and not {rows[1]}")
    left = [p.name for p in one.iterdir() if p.name.startswith(".")]
    if set(left) - {".lock"} or (one / "backup").exists():
        raise AssertionError(f"left behind: {left}")


def export_kills(count):
    """`kerafer export` over an earlier export, killed at any moment."""
    with tempfile.TemporaryDirectory() as folder:
        ended(run([*TRAIN, "--epochs", "1", "--out", "one"], folder))
        words = ["export", "--model", "one", "--out", "out", "--force"]
        words.append("--formats")
        ended(run([*words, "float16", "--ignore-gates"], folder))
        out = Path(folder, "out")
        whole = {p.name: p.read_bytes() for p in out.iterdir()}

        def trial(number, generator):
            process = run([*words, "float32", "--ignore-gates"], folder)
            killed(process, generator.uniform(3, 14), signal.SIGKILL)
            # What was there, or all of the new.
            names = {p.name for p in out.iterdir()}
            if not set(whole) <= names:
                raise AssertionError(f"lost: {set(whole) - names}")
            manifest = json.loads((out / "manifest.json").read_text())
            if not set(manifest["files"]) <= names:
                raise AssertionError("the manifest names what is not there")
            ended(run([*words, "float16", "--ignore-gates"], folder))
            left = {p.name for p in Path(folder).glob(".out.*")}
            if left - {".out.lock"}:
                raise AssertionError(f"left behind: {left}")

        return each(count, "export", trial)


def reproduce_kills(count):
    """`kerafer reproduce`, killed, takes its training along."""
    with tempfile.TemporaryDirectory() as folder:
        words = [
            *("reproduce", "--dataset", "synthetic", "--subjects", "6"),
            *("--image-size", "64", "--epochs", "9", "--runs", "1"),
            *("--augment", "none", "--models", "cnn", "--tables", "4"),
            "--out",
        ]
        seen = []

        def trial(number, generator):
            process = run([*words, f"out{number}"], folder)
            how = generator.choice((signal.SIGKILL, signal.SIGTERM))
            # A training begins after some seconds.
            seconds = generator.uniform(4, 20)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
            seen.append(len(_trainings(folder)) > 1)
            process.send_signal(how)
            process.communicate()
            until = time.monotonic() + 20
            while trainings := _trainings(folder):
                if time.monotonic() > until:
                    raise AssertionError(f"still running: {trainings}")
                time.sleep(0.2)

        failed = each(count, "reproduce", trial)
        if count > 5 and not any(seen):
            failed.append("no training was running at any kill")
        try:
            ended(run([*words, "out0"], folder))
        except AssertionError as error:
            failed.append(f"after all kills: {error}")
        return failed


def _trainings(folder):
    """Processes of `kerafer` that work in a folder."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            if not process.name.isdecimal() or int(process.name) == os.getpid():
                continue
            words = (process / "cmdline").read_bytes().split(b"\0")
            here = os.readlink(process / "cwd") == os.path.realpath(folder)
            if here and b"kerafer" in words:
                found.append(int(process.name))
    return found


def two_at_once(count):
    """Two processes in one folder: one works, the other says so."""
    with tempfile.TemporaryDirectory() as folder:

        def trial(number, generator):
            out = Path(folder, f"run{number}")
            words = [*TRAIN, "--epochs", "3", "--out", out]
            first = run(words, folder)
            until = time.monotonic() + MOST_SECONDS
            while not (out / "backup").is_dir() and first.poll() is None:
                if time.monotonic() > until:
                    raise AssertionError("it did not begin")
                time.sleep(0.05)
            second = run(["train", "--resume", out], folder)
            said = ended(second, codes=(0, 2))
            if second.returncode == 2 and "is being written by" not in said:
                raise AssertionError(said)
            ended(first)
            history = (out / "history.csv").read_text()
            if history.count("\n") != 4:
                raise AssertionError(history)

        return each(count, "two", trial)


# === Disks ===


def full_disks(count):
    """Train, export and predict on disks of 1 to 9 MB."""
    if not _can_mount():
        return None
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        ended(run([*TRAIN, "--epochs", "1", "--out", "one"], folder))
        face = Path(folder, "face.png")
        noise = np.random.default_rng(0).integers(0, 256, (900, 700, 3))
        Image.fromarray(noise.astype(np.uint8)).save(face)
        commands = (
            [*TRAIN, "--epochs", "2", "--out", "disk/run"],
            ["export", "--model", "one", "--out", "disk/out", "--ignore-gates"],
            ["predict", face, "--whole", "--out", "disk/out"],
        )

        def trial(number, generator):
            size = 1 + number % 9
            words = commands[number // 9 % 3]
            disk = Path(folder, "disk")
            disk.mkdir(exist_ok=True)
            options = f"size={size}m"
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk],
                check=True,
            )
            try:
                process = run(words, folder)
                said = ended(process, codes=(0, 2, 3))
                if process.returncode == 2 and len(said.splitlines()) > 60:
                    raise AssertionError(said[-300:])
            finally:
                subprocess.run(["umount", disk], check=True)

        return each(count, "disks", trial)


def _can_mount():
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True
        )
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return done.returncode == 0


# === Scale ===


def many_copies(count):
    """An audit of many near-duplicates: seconds, and not their square."""
    import cv2

    from kerafer.datasets import audit

    generator = np.random.default_rng(0)

    def drawn():
        noise = generator.normal(128, 40, (32, 32)).astype(np.float32)
        return cv2.GaussianBlur(noise, (0, 0), 3) * 4

    bases = [drawn() for _ in range(max(1, count // 200))]
    thumbs = np.stack(
        [
            bases[row % len(bases)] + generator.normal(0, 2, (32, 32))
            for row in range(count)
        ]
    ).astype(np.float32)
    digests = np.array([generator.bytes(32) for _ in range(count)])
    began = time.monotonic()
    edges = audit._edges(
        digests, thumbs, np.arange(count), audit.NEAR, audit.DIFFERENCE
    )
    seconds = time.monotonic() - began
    failed = []
    # A tree over each group of copies, no more and no less.
    if len(edges) != count - len(bases):
        failed.append(f"{len(edges)} edges")
    if seconds > 5 + 3e-3 * count:
        failed.append(f"{count} copies took {seconds:.0f} s")
    return failed


# === The demo's server ===


def busy_server(count):
    """Parallel requests beside idle and trickling connections."""
    import tiny_models

    from kerafer.demo import DemoServer

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "float32.tflite")
        file.write_bytes(tiny_models.with_labels(tiny_models.to_tflite()))
        server = DemoServer(file, port=0)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        failed, idle = [], []
        try:
            for _ in range(4 * count):
                idle.append(socket.create_connection(server.server_address, 20))
                idle[-1].sendall(b"GET / HT")

            def ask(number):
                try:
                    answer = _asked(server, "GET", "/facts.json")
                    if answer != 200:
                        failed.append(f"request {number}: {answer}")
                except OSError as error:
                    failed.append(f"request {number}: {error}")

            askers = [
                threading.Thread(target=ask, args=(n,)) for n in range(count)
            ]
            for asker in askers:
                asker.start()
            for asker in askers:
                asker.join()
            status = _asked(server, "POST", "/faces", b"x" * 33_000_000)
            if status != 413:
                failed.append(f"a body over the limit: {status}")
        finally:
            for one in idle:
                one.close()
            server.shutdown()
            thread.join()
            server.server_close()
        return failed


def _asked(server, method, path, body=None):
    connection = http.client.HTTPConnection(*server.server_address, timeout=60)
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, path, body)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


ALL = {
    "images": (images, 200),
    "archives": (archives, 400),
    "keras": (keras_files, 200),
    "tflite": (tflite_files, 300),
    "texts": (texts, 300),
    "train": (train_kills, 20),
    "export": (export_kills, 20),
    "reproduce": (reproduce_kills, 20),
    "two": (two_at_once, 2),
    "disks": (full_disks, 27),
    "copies": (many_copies, 100_000),
    "server": (busy_server, 50),
}


def main():
    """Run all trials, or those named, and print what became of them."""
    if sys.argv[1:2] == ["--tflite"]:
        _tflite_trials(sys.argv[2], int(sys.argv[3]))
        return 0
    names = sys.argv[1:] or list(ALL)
    print(f"{'trials':10} {'tried':>6} {'failed':>7} {'seconds':>8}  what")
    everything = []
    for name in names:
        trials, count = ALL[name]
        began = time.monotonic()
        failed = trials(count)
        seconds = time.monotonic() - began
        what = trials.__doc__.splitlines()[0]
        if failed is None:
            print(f"{name:10} {'none':>6}: nothing can be mounted here  {what}")
            continue
        everything += failed
        print(
            f"{name:10} {count:6} {len(failed):7} {seconds:8.0f}  {what}",
            flush=True,
        )
    print("\n".join(everything))
    return 1 if everything else 0


if __name__ == "__main__":
    raise SystemExit(main())
