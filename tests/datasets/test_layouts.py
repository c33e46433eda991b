"""Folder layouts, tables and archives as people have them."""

import json
import zipfile

import pytest

from kerafer import cli
from kerafer.datasets import load, read_split
from kerafer.errors import UserError
from kerafer.inference.model_source import read_labels, split_labels
from kerafer.untrusted import read_json

FACE = " ".join(str(i % 251) for i in range(48 * 48))


@pytest.fixture
def put(draw):
    return lambda root, *names: draw(root, *(f"{name}.png" for name in names))


def pack(folder, archive):
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*.png")):
            file.write(path, path.relative_to(folder).as_posix())
    return archive


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    "names",
    [
        {"training_set": "train", "test_set": "test"},
        {"train_data": "train", "valid_data": "validation"},
        {"TrainingSet": "train", "DEV": "validation", "Testing": "test"},
        {"data-train": "train", "data-val": "validation"},
        {"1 train": "train", "2 validation images": "validation"},
        {"Training": "train", "PublicTest": "validation"},
    ],
)
def test_split_folders_are_found_by_common_names(tmp_path, put, names, zipped):
    root = tmp_path / "faces"
    for name in names:
        put(root / "archive" / name, "happy/1", "sad/1")
    (root / "README.txt").write_text("x")
    if zipped:
        root = pack(root, tmp_path / "packed.zip")
    dataset = load("folder", root)
    assert dataset.class_names == ("happy", "sad")
    found = {
        path.split("/")[-3]: split
        for path, split in dataset.manifest[["path", "split"]].to_numpy()
    }
    assert found == names


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (("anna", "ben"), ("happy", "sad")),
        (("anna", "ben", "cleo"), ("happy",)),
        (("fold_a", "fold_b"), ("0", "1")),
        (("happy", "sad"), ("train", "test")),
        (("train/anna", "train/ben"), ("happy", "sad")),
    ],
)
def test_folders_that_are_not_classes_are_refused(tmp_path, put, outer, inner):
    put(tmp_path, *(f"{one}/{other}/1" for one in outer for other in inner))
    with pytest.raises(UserError) as raised:
        load("folder", tmp_path)
    message = str(raised.value)
    for name in (*outer, *inner, "train", "subject", "manifest.csv"):
        assert name.split("/")[-1] in message
    assert len(message.splitlines()) <= 5


def test_persons_below_folders_of_expressions_are_allowed(tmp_path, put):
    put(tmp_path, "happy/anna/1", "happy/ben/1", "sad/anna/1", "sad/ben/1")
    assert load("folder", tmp_path).class_names == ("happy", "sad")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_are_read_with_any_separator_and_blanks(
    tmp_path, put, separator
):
    put(tmp_path, "a/1", "b 2", "3", "4")
    rows = [
        ["path", "label", "subject", "split", "margin"],
        [" a/1.png ", " joy ", " Ann", "Training set", "0.5"],
        ["b 2.png\u00a0", "joy", "Ann ", "VAL", ".5"],
        [" 3.png", "fear", "Ann", "train", "0.50"],
        ["4.png ", "fear", "Bo", "test", "0.5"],
    ]
    if separator == ";":
        rows[1][4] = "0,5"
    text = "\n".join(separator.join(row) for row in rows)
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8-sig")
    dataset = load("folder", tmp_path)
    table = dataset.manifest
    assert list(table["path"]) == ["a/1.png", "b 2.png", "3.png", "4.png"]
    assert list(table["subject"]) == ["Ann", "Ann", "Ann", "Bo"]
    assert list(table["split"]) == ["train", "validation", "train", "test"]
    assert dataset.margin == 0.5
    split = separator.join(["path", "label", "split"])
    for path, label in table[["path", "label"]].to_numpy():
        split += f"\n{separator.join([path, label, 'train'])}"
    (tmp_path / "split.csv").write_text(split, encoding="utf-8-sig")
    assert set(read_split(tmp_path / "split.csv", dataset)) == {"train"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0 angry\n1 very happy\n2 sad\n", ("angry", "very happy", "sad")),
        ("0: angry\r\n1: happy\r\n", ("angry", "happy")),
        ("1 happy\n0 angry", ("angry", "happy")),
        ("0\n1\n2", ("0", "1", "2")),
        ("2 people\n3 people", ("2 people", "3 people")),
        ("angry\n1 happy", ("angry", "1 happy")),
    ],
)
def test_numbered_lines_of_labels(text, names):
    assert split_labels(text) == names


def test_edited_text_may_start_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps({"a": 1}), encoding="utf-8-sig")
    assert read_json(file) == {"a": 1}
    model = tmp_path / "model.tflite"
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("labels.txt", "angry\nhappy".encode("utf-8-sig"))
    assert read_labels(model) == ("angry", "happy")


class Unmarked(zipfile.ZipInfo):
    def _encodeFilenameFlags(self):  # noqa: N802
        return self.filename.encode("cp437"), 0


def pack_bytes(archive, names, encoding):
    """Entries whose names are in another encoding, without the flag."""
    with zipfile.ZipFile(archive, "w") as file:
        for name in names:
            raw = name.encode(encoding)
            info = Unmarked(raw.decode("cp437"))
            image = archive.with_suffix(".png")
            file.writestr(info, image.read_bytes())
    return archive


@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize(
    ("encoding", "classes"),
    [
        ("utf-8", "中性 高兴"),
        ("utf-8", "fröhlich wütend"),
        ("gbk", "中性 高兴 悲伤 愤怒 惊讶 恐惧 厌恶"),
        ("cp932", "喜び 悲しみ 怒り"),
        ("cp866", "радость грусть гнев"),
        ("cp1251", "радость грусть гнев"),
        ("cp437", "fröhlich traurig wütend überrascht"),
    ],
)
def test_names_in_an_archive_without_the_utf8_flag(
    tmp_path, put, capsys, encoding, classes
):
    put(tmp_path, "set")
    names = [f"{name}/1.png" for name in classes.split()]
    dataset = load("folder", pack_bytes(tmp_path / "set.zip", names, encoding))
    assert dataset.class_names == tuple(sorted(classes.split()))
    warned = "not marked as UTF-8" in capsys.readouterr().err
    assert warned == (encoding != "utf-8")


def test_the_audit_counts_the_skipped_files_of_the_console(
    tmp_path, put, capsys
):
    root = tmp_path / "faces"
    names = [f"{name}/{i}" for name in ("happy", "sad") for i in range(12)]
    put(root, *names)
    (root / "happy" / "broken.png").write_bytes(b"none")
    for name in ("notes.txt", "happy/Thumbs.db", "sad/a.pdf"):
        (root / name).write_text("x")
    arguments = ["audit", "--dataset", "folder", "--data-dir", str(root)]
    arguments += ["--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 0
    assert "24 images, 4 skipped" in capsys.readouterr().err
    assert "* 4 files" in (tmp_path / "out" / "audit.md").read_text()
    summary = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert sum(summary["skipped_files"].values()) == 4
