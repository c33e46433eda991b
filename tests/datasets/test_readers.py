"""Readers of data sets, on small trees drawn here."""

import dataclasses
import io
import subprocess
import sys
import textwrap
import types
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kerafer.datasets import Dataset, load
from kerafer.datasets import archive as archives
from kerafer.datasets.archive import unpack, unpacked
from kerafer.datasets.kdef import parse_angles
from kerafer.datasets.loading import find_root
from kerafer.datasets.scan import verify
from kerafer.errors import UserError

KDEF_CODES = ("AN", "DI", "AF", "HA", "NE", "SA", "SU")
KDEF_NAMES = (
    "angry",
    "disgusted",
    "fearful",
    "happy",
    "neutral",
    "sad",
    "surprised",
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory, monkeypatch):
    """No test sees the data of whoever runs it."""
    place = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(place)
    monkeypatch.delenv("KERAFER_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    return place


def draw(path, level=0):
    """An image with a gradient, so that it is not blank."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.tile(np.arange(24, dtype=np.uint8) * 10, (16, 1))
    Image.fromarray(np.stack([ramp, ramp, ramp // 2 + level], -1)).save(path)
    return path


def jpeg():
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)
    Image.fromarray(noise).save(stream, "JPEG")
    return stream.getvalue()


def reasons(dataset):
    return dict(dataset.left_out[["path", "reason"]].to_numpy().tolist())


# === KDEF ===


def make_kdef(root):
    for session in "AB":
        for person in ("F01", "M35"):
            for code in KDEF_CODES:
                for angle in ("FL", "HL", "S", "HR", "FR"):
                    name = f"{session}{person}{code}{angle}.JPG"
                    draw(root / f"{session}{person}" / name)
    return root


def test_kdef_by_the_names_of_its_files(tmp_path):
    root = make_kdef(tmp_path / "KDEF_and_AKDEF" / "KDEF")
    dataset = load("kdef", tmp_path / "KDEF_and_AKDEF")
    assert len(dataset) == 2 * 2 * 7 * 3
    assert dataset.class_names == KDEF_NAMES
    assert "non-commercial" in dataset.licence
    assert "kdef.se" in dataset.source
    rows = dataset.manifest.set_index("path")
    row = rows.loc["KDEF/BM35/BM35AFHL.JPG"]
    assert row.to_dict() == {
        "label": "fearful",
        "subject": "M35",
        "session": "B",
        "angle": "HL",
    }
    for code, name in zip(KDEF_CODES, KDEF_NAMES, strict=True):
        assert rows.loc[f"KDEF/AF01/AF01{code}S.JPG", "label"] == name
    assert dataset.left_out.empty
    assert dataset.read_image("KDEF/AF01/AF01ANS.JPG").shape == (16, 24, 3)
    assert len(load("kdef", root, angles="all")) == 2 * 2 * 7 * 5
    frontal = load("kdef", root, angles="s")
    assert set(frontal.manifest["angle"]) == {"S"}


def test_kdef_leaves_out_and_says_why(tmp_path):
    root = tmp_path / "faces of KDEF ä"
    good = draw(root / "one" / "AF01ANS.jpg")
    draw(root / "two" / "af01ans.JPEG", level=9)
    draw(root / "AF02NES.JPG").write_bytes(b"")
    cut = draw(root / "AF03NES.JPG")
    cut.write_bytes(cut.read_bytes()[:-150])
    Image.new("RGB", (20, 20)).save(root / "AF04NES.JPG")
    # The first copy is cut off; the second takes its place.
    broken = draw(root / "a" / "BM07HAHL.JPG")
    broken.write_bytes(broken.read_bytes()[:-150])
    draw(root / "b" / "BM07HAHL.JPG")
    draw(root / "AKDEF" / "AF05ANS.JPG")
    draw(root / "MANES.JPG")
    draw(root / "AF36NES.JPG")
    draw(root / "AF00NES.JPG")
    draw(root / "AF06NES.png")
    draw(root / "__MACOSX" / "AF08NES.JPG")
    draw(root / "._AF08NES.JPG")
    (root / "Thumbs.db").write_bytes(b"x")
    dataset = load("kdef", root)
    assert sorted(dataset.manifest["path"]) == [
        "b/BM07HAHL.JPG",
        "one/AF01ANS.jpg",
    ]
    why = reasons(dataset)
    assert "one/AF01ANS.jpg" in why.pop("two/af01ans.JPEG")
    assert "averaged" in why.pop("AKDEF/AF05ANS.JPG")
    assert why.pop("AF02NES.JPG") == "the file is empty"
    assert "blank" in why.pop("AF04NES.JPG")
    for name in ("AF03NES.JPG", "a/BM07HAHL.JPG"):
        assert "truncated" in why.pop(name).lower()
    for name in ("MANES.JPG", "AF36NES.JPG", "AF00NES.JPG", "AF06NES.png"):
        assert "name" in why.pop(name)
    assert why == {"Thumbs.db": "not an image (.db)"}
    assert good.exists()


def test_kdef_angles():
    assert parse_angles("HR, hl") == ("HL", "HR")
    assert parse_angles("all") == ("FL", "HL", "S", "HR", "FR")
    for wrong in ("", "HL,X", "HL,,S", ()):
        with pytest.raises(UserError, match="FL, HL, S, HR, FR"):
            parse_angles(wrong)


def test_verifying_with_threads_and_not_at_all(tmp_path):
    for number in range(1, 36):
        picture = draw(tmp_path / f"AF{number:02}ANS.JPG")
        if number % 4 == 0:
            picture.write_bytes(b"none")
    unseen = load("kdef", tmp_path, verify=False)
    assert len(unseen) == 35
    assert unseen.left_out.empty
    for threads in (1, 4):
        seen = verify(unseen, threads)
        assert len(seen) == 27
        assert [p[2:4] for p in seen.left_out["path"]] == [
            f"{number:02}" for number in range(4, 36, 4)
        ]


# === FESR ===


@pytest.mark.parametrize("divided", [True, False])
def test_fesr_understands_names_of_folders(tmp_path, divided):
    words = {
        "Surprised": "surprise",
        "HAPPY": "joy",
        "neutrals": "neutral",
        "Boring": "bored",
        "upset": "upset",
    }
    parts = {"Train": "train", "valid": "validation", "TEST": "test"}
    for part in parts if divided else [""]:
        for word in words:
            draw(tmp_path / "set" / "FESR" / part / word / "1.png")
    dataset = load("fesr", tmp_path / "set")
    assert dataset.class_names == (
        "surprise",
        "joy",
        "neutral",
        "bored",
        "upset",
    )
    assert len(dataset) == (15 if divided else 5)
    assert ("split" in dataset.manifest) == divided
    for row in dataset.manifest.to_dict("records"):
        *_, part, word, _ = row["path"].split("/")
        assert row["label"] == words[word]
        assert row.get("split") == parts.get(part)


def test_fesr_refuses_an_unknown_class(tmp_path):
    draw(tmp_path / "joy" / "1.png")
    (tmp_path / "notes").mkdir()
    assert len(load("fesr", tmp_path)) == 1
    draw(tmp_path / "angry" / "1.png")
    with pytest.raises(UserError, match="Received: angry"):
        load("fesr", tmp_path)


def test_folder_of_one_class_is_no_wrapping(tmp_path):
    draw(tmp_path / "joy" / "1.png")
    draw(tmp_path / "joy" / "neutral" / "2.png")
    dataset = load("fesr", tmp_path)
    assert list(dataset.manifest["label"]) == ["joy", "joy"]


def test_fesr_download_only_when_asked(tmp_path, monkeypatch):
    asked = []

    def dataset_download(handle):
        asked.append(handle)
        draw(tmp_path / "kaggle" / "train" / "joy" / "1.png")
        return str(tmp_path / "kaggle")

    fake = types.SimpleNamespace(dataset_download=dataset_download)
    monkeypatch.setitem(sys.modules, "kagglehub", fake)
    with pytest.raises(UserError):
        load("fesr")
    assert asked == []
    assert len(load("fesr", download=True)) == 1
    assert asked == [
        "daniellam2000/facial-expression-of-students-in-real-class-fesr"
    ]
    with pytest.raises(UserError, match="download"):
        load("kdef", download=True)
    with pytest.raises(UserError, match="`data_dir`"):
        load("fesr", tmp_path, download=True)

    def refused(handle):
        raise OSError("403 Forbidden")

    fake.dataset_download = refused
    with pytest.raises(UserError, match="403 Forbidden"):
        load("fesr", download=True)
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UserError, match=r"pip install .*\[fesr\]'"):
        load("fesr", download=True)


# === FER2013 ===

FACE = " ".join(str(i % 251) for i in range(48 * 48))
FER_CODES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def write_csv(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows, ""]))
    return path


@pytest.mark.parametrize(
    ("name", "header", "order"),
    [
        ("fer2013.csv", "emotion,pixels,Usage", "{0},{1},{2}"),
        ("fer2013.csv", "emotion,pixels,Usage", '"{0}","{1}","{2}"'),
        ("icml_face_data.csv", "emotion, Usage, pixels", "{0},{2},{1}"),
    ],
)
def test_fer2013_csv(tmp_path, name, header, order):
    usages = ["Training", "PublicTest", "PrivateTest"] + ["Training"] * 4
    rows = [order.format(i, FACE, usage) for i, usage in enumerate(usages)]
    path = write_csv(tmp_path / "fer2013" / name, header, rows)
    for root in (tmp_path, path, path.parent):
        dataset = load("fer2013", root)
        assert dataset.class_names == (
            "angry",
            "disgust",
            "fear",
            "happy",
            "neutral",
            "sad",
            "surprise",
        )
        assert tuple(dataset.manifest["label"]) == FER_CODES
        assert list(dataset.manifest["split"])[:4] == [
            "train",
            "validation",
            "test",
            "train",
        ]
        picture = dataset.read_image(dataset.manifest["path"][3])
        assert picture.shape == (48, 48, 3)
        assert picture.dtype == np.uint8
        np.testing.assert_array_equal(picture[1, :3, 1], [48, 49, 50])
        before = dataset.fingerprint
    path.write_text(path.read_text() + rows[0] + "\n")
    assert load("fer2013", path).fingerprint != before


def test_fer2013_csv_reports_malformed_rows(tmp_path):
    other = " ".join(str((i * 7) % 256) for i in range(48 * 48))
    rows = [
        f"0,{FACE},Training",
        f"7,{FACE},Training",
        f",{FACE},Training",
        f"1,{FACE} 4,Training",
        f"1,{FACE[:-2]}x,Training",
        f"1,{FACE.replace('250', '256')},Training",
        f"1,{FACE},Secret",
        "1",
        "",
        f"1,{'0 ' * 2304},Training",
        f"3,{other},PrivateTest",
    ]
    write_csv(tmp_path / "fer2013.csv", "emotion,pixels,Usage", rows)
    dataset = load("fer2013", tmp_path)
    assert list(dataset.manifest["path"]) == [
        "fer2013.csv#2",
        "fer2013.csv#12",
    ]
    # Rows keep their own pixels when some before them are left out.
    picture = dataset.read_image("fer2013.csv#12")
    np.testing.assert_array_equal(picture[0, :3, 0], [0, 7, 14])
    assert list(reasons(dataset)) == [
        f"fer2013.csv#{line}" for line in range(3, 12)
    ]
    assert "blank" in reasons(dataset)["fer2013.csv#11"]


def test_fer2013_csv_without_usage_or_columns(tmp_path):
    path = write_csv(tmp_path / "train.csv", "emotion,pixels", [f"0,{FACE}"])
    assert "split" not in load("fer2013", tmp_path).manifest
    write_csv(path, "emotion,pictures", ["0,1"])
    with pytest.raises(UserError, match="emotion, pixels and Usage"):
        load("fer2013", path)
    write_csv(path, "emotion,pixels", [])
    with pytest.raises(UserError, match="no row"):
        load("fer2013", path)


def test_fer2013_folders(tmp_path):
    for part in ("train", "test"):
        for label in ("angry", "Happy", "sadness"):
            draw(tmp_path / part / label / "1.png")
    dataset = load("fer2013", tmp_path)
    assert len(dataset.class_names) == 7
    assert set(dataset.manifest["label"]) == {"angry", "happy", "sad"}
    assert dataset.manifest["split"].value_counts().to_dict() == {
        "train": 3,
        "test": 3,
    }


# === Folder ===


def test_folder_of_classes(tmp_path):
    draw(tmp_path / "joy" / "Zoë 王.png")
    draw(tmp_path / "joy" / "deeper" / "a b.png")
    draw(tmp_path / "anger" / "[red].png")
    (tmp_path / "anger" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "anger" / ".hidden.png").write_bytes(b"x")
    (tmp_path / "anger" / "like.jpg").mkdir()
    (tmp_path / "anger" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "anger" / "back").symlink_to(tmp_path)
    (tmp_path / "anger" / "loop").symlink_to(tmp_path / "anger" / "loop")
    draw(tmp_path / "loose.png")
    draw(tmp_path / "__MACOSX" / "joy" / "x.png")
    dataset = load("folder", tmp_path, verify=False)
    # `back` leads to the whole tree once more, and no further.
    assert {"anger/back/joy/Zoë 王.png"} <= set(dataset.manifest["path"])
    assert not dataset.manifest["path"].str.contains("back/anger").any()
    (tmp_path / "anger" / "back").unlink()
    dataset = load("folder", tmp_path)
    assert dataset.class_names == ("anger", "joy")
    rows = dict(dataset.manifest[["path", "label"]].to_numpy().tolist())
    assert rows == {
        "anger/[red].png": "anger",
        "joy/Zoë 王.png": "joy",
        "joy/deeper/a b.png": "joy",
    }
    assert dataset.read_image("joy/Zoë 王.png").shape == (16, 24, 3)
    assert reasons(dataset) == {
        "loose.png": "it stands in no folder of a class",
        "anger/gone.jpg": "there is no such file",
        "anger/Thumbs.db": "not an image (.db)",
        "anger/loop": "not an image (without a suffix)",
    }


def test_folder_of_splits(tmp_path):
    for part in ("Training", "val", "test"):
        for label in ("a", "b"):
            draw(tmp_path / part / label / "1.png")
    dataset = load("folder", tmp_path)
    assert list(dataset.manifest["split"].unique()) == [
        "train",
        "test",
        "validation",
    ]
    draw(tmp_path / "spare" / "b" / "1.png")
    with pytest.raises(UserError, match="Received: spare"):
        load("folder", tmp_path)


@pytest.mark.parametrize(
    ("pictures", "folders", "message"),
    [
        (["a/1", "b/1"], ["c"], "none of: c"),
        (["a/1"], [], "two classes"),
        (["a/1", "b/1", "B/1"], [], "Received: 'B' and 'b'"),
        (["train/a/1", "test/a/1", "test/b/1"], [], "in train.*none of: b"),
        ([], ["a", "b"], "manifest.csv"),
    ],
)
def test_folder_refuses_classes(tmp_path, pictures, folders, message):
    for name in pictures:
        draw(tmp_path / f"{name}.png")
    for name in folders:
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=message):
        load("folder", tmp_path)


def test_folder_refuses_a_class_of_unreadable_pictures(tmp_path):
    draw(tmp_path / "a" / "1.png")
    draw(tmp_path / "b" / "1.png").write_bytes(b"none")
    with pytest.raises(UserError, match="none of: b"):
        load("folder", tmp_path)
    (tmp_path / "a" / "1.png").write_bytes(b"none")
    with pytest.raises(UserError, match=r"any of the 2 images(?s:.)*a/1\.png"):
        load("folder", tmp_path)


@pytest.mark.usefixtures("shown")
def test_subjects_by_pattern(tmp_path, capsys):
    for name in ("angry/Al_Gore_0002", "angry/Bo_1", "happy/Al_Gore_0001"):
        draw(tmp_path / f"{name}.png")
    draw(tmp_path / "happy" / "nobody.png")
    for pattern in (r"^(.+)_\d+\.png$", r"^((?P<subject>.+)_\d+)\.png$"):
        dataset = load("folder", tmp_path, subject_pattern=pattern)
        assert list(dataset.manifest["subject"]) == ["Al_Gore", "Bo", "Al_Gore"]
        assert dataset.has_subjects
        assert list(reasons(dataset)) == ["happy/nobody.png"]
        assert "1 skipped" in capsys.readouterr().err
    for wrong, message in (
        ("(", "unterminated"),
        ("^.*_", "without a group"),
        (r"^(\d+)-", "matches none"),
    ):
        with pytest.raises(UserError, match=message):
            load("folder", tmp_path, subject_pattern=wrong)


def test_manifest(tmp_path):
    for name in ("a/1", "NA/ü 2", "3"):
        draw(tmp_path / f"{name}.png")
    (tmp_path / "manifest.csv").write_text(
        "Path,label,subject,split\n"
        "a/1.png,joy,7,train\nNA/ü 2.png,NA,NA, Training\n3.png,joy,,val\n"
        "4.png,joy,8,test\n",
        encoding="utf-8-sig",
    )
    dataset = load("folder", tmp_path)
    assert dataset.class_names == ("NA", "joy")
    assert list(dataset.manifest["label"]) == ["joy", "NA", "joy"]
    assert list(dataset.manifest["split"]) == ["train", "train", "validation"]
    assert list(dataset.manifest["subject"][:2]) == ["7", "NA"]
    assert not dataset.has_subjects
    assert reasons(dataset) == {"4.png": "there is no such file"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n../x.png,a\n", r"inside.*line 2: \.\./x\.png"),
        ("path,label\n1.png,a\na/../../x.png,a\n", "inside.*line 3"),
        ("path,label\n/etc/x.png,a\n", "inside"),
        ("path,label\nC:\\x.png,a\n", "inside"),
        ("path,label\na\\..\\..\\x.png,a\n", "inside"),
        ("path,label\n,a\n", "inside"),
        ("path,label\n1.png,\n", "class of every image"),
        ("path,label\n1.png,a\n1.png,b\n", "once"),
        ("path,label,split\n1.png,a,train\n2.png,b,other\n", "line 3.*2.png"),
        ("path,label,split\n1.png,a,train\n2.png,b,\n", "splits"),
        ("path,label,margin\n1.png,a,0.2\n2.png,b,\n", "0 to 1.*line 3"),
        ("path,label,margin\n1.png,a,2\n2.png,b,2\n", "0 to 1.*line 2"),
        ("path,label,margin\n1.png,a,wide\n2.png,b,nan\n", "0 to 1.* 2 that"),
        ("path,label,margin\n1.png,a,0.1\n2.png,b,0.2\n", "same margin.*3"),
        ("path,class\n1.png,a\n", "Missing: label"),
        ("path,label\n", "manifest.csv"),
        ("", "CSV"),
        ('path,label\n"1.png,a\n', "CSV|inside|class"),
    ],
)
def test_manifest_is_refused(tmp_path, text, message):
    draw(tmp_path / "1.png")
    draw(tmp_path / "2.png")
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        load("folder", tmp_path)


def test_a_manifest_tells_how_its_faces_were_cut_out(tmp_path):
    draw(tmp_path / "1.png")
    draw(tmp_path / "2.png")
    list_file = tmp_path / "manifest.csv"
    list_file.write_text("path,label,Margin\n1.png,a,0.20\n2.png,b, .2\n")
    dataset = load("folder", tmp_path)
    assert dataset.margin == 0.2
    assert "margin" not in dataset.manifest
    list_file.write_text("path,label\n1.png,a\n2.png,b\n")
    assert load("folder", tmp_path).margin is None


def test_manifest_in_another_encoding(tmp_path):
    (tmp_path / "manifest.csv").write_bytes("path,label\nü,a".encode("latin1"))
    with pytest.raises(UserError, match="UTF-8"):
        load("folder", tmp_path)


# === Finding the data ===


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kdef", ("KDEF is", "https://kdef.se")),
        ("fesr", ("FESR is", "kaggle.com")),
        ("fer2013", ("FER2013 is", "kaggle.com")),
        ("folder", ("images of your own", "manifest.csv")),
    ],
)
def test_missing_data_says_what_to_do(tmp_path, monkeypatch, name, words):
    (tmp_path / "empty").mkdir()
    for root, given in (
        (None, None),
        (tmp_path / "nowhere", None),
        (tmp_path / "empty", None),
        (None, tmp_path / "nowhere"),
        (None, tmp_path / "empty"),
    ):
        if given:
            monkeypatch.setenv("KERAFER_DATA", str(given))
        with pytest.raises(UserError) as raised:
            load(name, root)
        message = str(raised.value)
        for word in (
            *words,
            "`data_dir`",
            "KERAFER_DATA",
            f"data/{name}",
            "kerafer train --dataset synthetic",
        ):
            assert word in message
        assert 4 <= len(message.splitlines()) <= 6


def test_order_of_the_places(tmp_path, elsewhere, monkeypatch):
    places = [tmp_path / "given", tmp_path / "environment", elsewhere / "data"]
    for place in places:
        (place / "kdef").mkdir(parents=True)
    monkeypatch.setenv("KERAFER_DATA", str(places[1]))
    assert find_root("kdef", places[0]) == places[0] / "kdef"
    assert find_root("kdef", places[0] / "kdef") == places[0] / "kdef"
    assert find_root("kdef") == places[1] / "kdef"
    # A collection of other sets is not the set itself.
    (places[2] / "fesr").mkdir()
    assert find_root("fesr").resolve() == places[2] / "fesr"
    monkeypatch.setenv("KERAFER_DATA", str(places[1] / "kdef"))
    assert find_root("kdef") == places[1] / "kdef"
    monkeypatch.delenv("KERAFER_DATA")
    assert find_root("kdef").resolve() == places[2] / "kdef"


def test_names_and_options_are_checked(tmp_path):
    with pytest.raises(UserError, match="Received: ckplus"):
        load("ckplus")
    with pytest.raises(UserError, match=r"angles, verify.*subject_pattern"):
        load("kdef", tmp_path, subject_pattern="(.)")
    draw(tmp_path / "AF01ANS.JPG")
    assert len(load("kdef", tmp_path, angles=None, subject_pattern=None)) == 1
    with pytest.raises(UserError, match=r"a folder or a \.zip"):
        load("kdef", tmp_path / "AF01ANS.JPG")


def test_labels_outside_the_classes_are_refused_by_name():
    rows = pd.DataFrame({"path": ["1"], "label": ["glee"]})
    with pytest.raises(UserError, match="Received: glee"):
        Dataset("own", rows, ("joy",))


# === Archives ===


def pack(path, files, link=None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
        if link:
            info = zipfile.ZipInfo(link)
            info.external_attr = 0o120777 << 16
            file.writestr(info, "/etc")
    return path


def test_archive_as_root(tmp_path, elsewhere):
    path = pack(
        tmp_path / "my faces.zip",
        {
            "top/joy/ü 1.jpg": jpeg(),
            "top/anger/1.jpg": jpeg(),
            "__MACOSX/top/joy/._1.jpg": b"x",
            "top/.DS_Store": b"x",
        },
    )
    dataset = load("folder", path)
    assert dataset.root == tmp_path / "my faces"
    assert sorted(dataset.manifest["path"]) == [
        "top/anger/1.jpg",
        "top/joy/ü 1.jpg",
    ]
    assert dataset.left_out.empty
    # Once unpacked it is taken as it is.
    (dataset.root / "top/joy/2.jpg").write_bytes(jpeg())
    assert len(load("folder", path)) == 3
    pack(path, {"a/1.jpg": jpeg(), "b/1.jpg": jpeg(), "b/2.jpg": jpeg()})
    with pytest.raises(UserError, match="not unpacked from this archive"):
        load("folder", path)
    tmp_path.chmod(0o555)
    dataset = load("folder", path)
    tmp_path.chmod(0o755)
    assert dataset.root.parent == elsewhere / "cache" / "kerafer" / "unpacked"
    assert len(dataset) == 3
    tmp_path.chmod(0o555)
    assert unpacked(path) == dataset.root
    tmp_path.chmod(0o755)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.jpg", "leads out"),
        ("a/../../evil.jpg", "leads out"),
        ("a\\..\\..\\evil.jpg", "leads out"),
        ("/evil.jpg", "absolute"),
        ("\\evil.jpg", "absolute"),
        ("C:/evil.jpg", "absolute"),
    ],
)
def test_archive_stays_inside_its_folder(tmp_path, name, reason):
    path = pack(tmp_path / "set.zip", {"a/1.jpg": jpeg(), name: jpeg()})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=f"evil.*{reason}"):
        unpack(path, tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_archive_without_links(tmp_path):
    path = pack(tmp_path / "set.zip", {"a/1.jpg": jpeg()}, link="a/etc")
    with pytest.raises(UserError, match=r"a/etc.*link"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("limit", "value"),
    [("MAX_FILES", 2), ("MAX_FILE_BYTES", 4999), ("MAX_TOTAL_BYTES", 5001)],
)
def test_archive_is_bounded_before_unpacking(
    tmp_path, monkeypatch, limit, value
):
    files = {"a": b"0" * 5000, "b": b"1", "c": b"2"}
    path = pack(tmp_path / "bomb.zip", files)
    monkeypatch.setattr(archives, limit, value)
    monkeypatch.setattr(archives, "_write", None)
    with pytest.raises(UserError, match=r"bomb\.zip"):
        unpack(path, tmp_path / "out")
    monkeypatch.undo()
    assert unpack(path, tmp_path / "out") == tmp_path / "out"


def test_archive_larger_than_the_free_space(tmp_path, monkeypatch):
    path = pack(tmp_path / "set.zip", {"a": b"0" * 5000})
    free = types.SimpleNamespace(free=4000)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda place: free)
    with pytest.raises(UserError, match="4,000 bytes, which is what is free"):
        unpack(path, tmp_path / "out")


def test_encrypted_archive_is_refused(tmp_path):
    path = pack(tmp_path / "set.zip", {"a.jpg": jpeg()})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="which is encrypted"):
        unpack(path, tmp_path / "out")


def test_damaged_archive_leaves_nothing_behind(tmp_path):
    path = pack(tmp_path / "set.zip", {f"a/{i}.jpg": jpeg() for i in range(9)})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"set\.zip"):
        unpack(path, tmp_path / "out")
    path.write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"set\.zip"):
        unpack(path, tmp_path / "out")
    with pytest.raises(UserError, match=r"gone\.zip"):
        unpack(tmp_path / "gone.zip", tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set.zip"]


def test_of_two_that_unpack_at_once_the_slower_takes_what_is_there(
    tmp_path, monkeypatch
):
    archive = tmp_path / "faces.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("happy/1.jpg", jpeg())
    write_mark = archives.Path.write_text
    raced = []

    def write_text(path, *arguments, **options):
        # The other is faster by as much as writing the mark takes.
        write_mark(path, *arguments, **options)
        if path.name == ".unpacked-from" and not raced:
            raced.append(path)
            unpack(archive, tmp_path / "faces")

    monkeypatch.setattr(archives.Path, "write_text", write_text)
    assert unpack(archive, tmp_path / "faces") == tmp_path / "faces"
    assert raced
    assert (tmp_path / "faces" / "happy" / "1.jpg").read_bytes() == jpeg()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["faces", "faces.zip"]


def test_many_processes_unpack_one_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as file:
        for index in range(300):
            file.writestr(f"happy/{index}.jpg", bytes(100))
    program = """
        import pathlib, sys
        from kerafer.datasets.archive import unpacked
        print(len(list((unpacked(sys.argv[1]) / "happy").iterdir())))
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    command.append(tmp_path / "faces.zip")
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [p.communicate()[0] for p in running] == ["300\n"] * 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["faces", "faces.zip"]


def test_something_else_that_appears_meanwhile_is_not_taken(
    tmp_path, monkeypatch
):
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as file:
        file.writestr("happy/1.jpg", jpeg())
    chmod = archives.Path.chmod

    def appear(path, mode):
        chmod(path, mode)
        (tmp_path / "faces").mkdir()
        (tmp_path / "faces" / "notes.txt").write_text("mine")

    monkeypatch.setattr(archives.Path, "chmod", appear)
    with pytest.raises(UserError, match="cannot be unpacked"):
        unpack(tmp_path / "faces.zip", tmp_path / "faces")
    assert [p.name for p in (tmp_path / "faces").iterdir()] == ["notes.txt"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["faces", "faces.zip"]


def test_threads_are_for_files_that_take_long(tmp_path, monkeypatch):
    monkeypatch.setattr("kerafer.datasets.cores.available_cores", lambda: 3)
    for name, size in {"small": 1000, "large": 50_000}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(bytes(size))
    dataset = Dataset(
        "one",
        pd.DataFrame({"path": ["a.png"], "label": "x"}),
        ("x",),
        root=tmp_path / "small",
    )
    assert dataset.threads == 1
    assert dataclasses.replace(dataset, root=tmp_path / "large").threads == 3
