"""What the input costs: memory, seconds, imports."""

import json
import sys

import pytest
from harness import run_python

from kerafer import cli

HEAVY = {"tensorflow", "keras", "pandas", "matplotlib", "cv2", "sklearn", "PIL"}

# A training's input: decode, then an epoch of batches; what it needs beside
# the file, in bytes. The pictures are even, so that only their number counts.
EPOCH = """
    import json, os, sys
    os.environ["XDG_CACHE_HOME"] = sys.argv[1]
    count, kind = int(sys.argv[2]), sys.argv[3]
    from kerafer.engine import load_tensorflow
    load_tensorflow()
    import numpy as np
    import pandas as pd
    from kerafer.datasets import Dataset
    from kerafer.datasets.decoded import decode
    from kerafer.datasets.pipeline import Batches, TrainingBatches

    def anonymous():
        with open("/proc/self/status") as file:
            (line,) = [l for l in file if l.startswith("RssAnon:")]
        return int(line.split()[1]) * 1024

    picture = np.full((224, 224, 3), 7, np.uint8)
    names = [str(index) for index in range(count)]
    manifest = pd.DataFrame({"path": names, "label": "a"})
    dataset = Dataset(
        "even",
        manifest,
        ("a",),
        read=lambda _: picture,
        fingerprint="even" if kind == "mapped" else "",
    )
    labels = dataset.targets
    # All that is needed once is there before the count begins.
    few = TrainingBatches(np.stack([picture] * 64), labels[:64], 32, 0)
    for _ in few:
        pass
    before = most = anonymous()
    if kind == "sparse":
        # A file that takes no disk, mapped as `decode` does.
        file, shape = sys.argv[1] + "/sparse.npy", (count, 224, 224, 3)
        np.lib.format.open_memmap(file, "w+", np.uint8, shape)
        images = np.load(file, mmap_mode="r", allow_pickle=False)
    else:
        images = decode(dataset, 224).images
    rows = np.arange(count)[::2]
    training = TrainingBatches(images, labels, 32, 0, indices=rows)
    testing = Batches(images, labels, 32, np.arange(count)[1::2])
    seen = 0
    for batches in (training, testing):
        for pictures, _ in batches:
            seen += len(pictures)
            most = max(most, anonymous())
    assert count <= seen < count + 32
    print(json.dumps([images.nbytes, most - before]))
"""


def memory_of_an_epoch(folder, count, kind):
    said = run_python(EPOCH, str(folder), str(count), kind)
    return json.loads(said.splitlines()[-1])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_decoded_pictures_stay_on_disk_during_an_epoch(tmp_path):
    size, needed = memory_of_an_epoch(tmp_path, 3000, "mapped")
    assert size == 3000 * 224 * 224 * 3
    assert needed < size / 2


@pytest.mark.parametrize("words", [[], ["--help"], ["--version"]])
def test_the_command_starts_without_what_it_may_not_need(words):
    program = """
        import sys
        import kerafer
        assert not HEAVY & set(sys.modules), HEAVY & set(sys.modules)
        import kerafer.cli
        try:
            kerafer.cli.main(sys.argv[1:])
        except SystemExit:
            pass
        assert not HEAVY & set(sys.modules), HEAVY & set(sys.modules)
        print("over")
    """
    said = run_python(program.replace("HEAVY", repr(HEAVY)), *words)
    assert said.splitlines()[-1] == "over"


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_the_help_of_a_command_loads_no_tensorflow(command):
    program = """
        import sys
        from kerafer.cli import main
        try:
            main([sys.argv[1], "--help"])
        except SystemExit as end:
            assert end.code == 0
        print(sorted({"tensorflow", "keras", "matplotlib"} & set(sys.modules)))
    """
    assert run_python(program, command).splitlines()[-1] == "[]"
