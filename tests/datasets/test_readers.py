"""Readers of data sets, on small trees drawn here."""

import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kerafer.datasets import Dataset, archive, load
from kerafer.datasets.archive import unpack
from kerafer.datasets.kdef import parse_angles
from kerafer.datasets.loading import find_root
from kerafer.datasets.splits import make_split, shared_subjects
from kerafer.errors import UserError

KDEF_CODES = ("AN", "DI", "AF", "HA", "NE", "SA", "SU")
KDEF_NAMES = (
    *("angry", "disgusted", "fearful", "happy", "neutral", "sad"),
    "surprised",
)
FACE = " ".join(str(i % 251) for i in range(48 * 48))
FER_CODES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def reasons(dataset):
    return dict(dataset.skipped_files[["path", "reason"]].to_numpy().tolist())


def cut(path):
    path.write_bytes(path.read_bytes()[:-60])
    return path


def test_kdef_by_the_names_of_its_files(tmp_path, draw):
    root = tmp_path / "KDEF_and_AKDEF" / "KDEF"
    for session in "AB":
        for code in KDEF_CODES:
            for angle in ("FL", "HL", "S", "HR", "FR"):
                for person in (f"{session}F01", f"{session}M35"):
                    draw(root / person, f"{person}{code}{angle}.JPG")
    dataset = load("kdef", tmp_path / "KDEF_and_AKDEF")
    assert len(dataset) == 2 * 2 * 7 * 3
    assert dataset.class_names == KDEF_NAMES
    assert "non-commercial" in dataset.licence
    rows = dataset.manifest.set_index("path")
    assert rows.loc["KDEF/BM35/BM35AFHL.JPG"].to_dict() == {
        "label": "fearful",
        "subject": "M35",
        "session": "B",
        "angle": "HL",
    }
    for code, name in zip(KDEF_CODES, KDEF_NAMES, strict=True):
        assert rows.loc[f"KDEF/AF01/AF01{code}S.JPG", "label"] == name
    assert dataset.skipped_files.empty
    assert dataset.read_image("KDEF/AF01/AF01ANS.JPG").shape == (8, 8, 3)
    assert len(load("kdef", root, angles="all")) == 2 * 2 * 7 * 5
    frontal = load("kdef", root, angles="s")
    assert set(frontal.manifest["angle"]) == {"S"}


def test_kdef_skips_what_it_cannot_use_and_says_why(tmp_path, draw):
    root = tmp_path / "faces of KDEF ä"
    draw(root, "one/AF01ANS.jpg", "two/af01ans.JPEG", "__MACOSX/AF08NES.JPG")
    draw(root, "AF02ANS.JPG").write_bytes(b"")
    cut(draw(root, "AF03ANS.JPG"))
    Image.new("RGB", (20, 20)).save(root / "AF04ANS.JPG")
    draw(root, "AKDEF/AF05ANS.JPG", "AF36NES.JPG", "AF06NES.png", "MANES.JPG")
    draw(root, "._AF08NES.JPG")
    (root / "Thumbs.db").write_bytes(b"x")
    dataset = load("kdef", root)
    assert list(dataset.manifest["path"]) == ["one/AF01ANS.jpg"]
    why = reasons(dataset)
    for name, part in (
        ("two/af01ans.JPEG", "one/AF01ANS.jpg"),
        ("AKDEF/AF05ANS.JPG", "averaged"),
        ("AF02ANS.JPG", "empty"),
        ("AF03ANS.JPG", "truncated"),
        ("AF04ANS.JPG", "blank"),
        ("Thumbs.db", ".db"),
        *((x, "name") for x in ("AF36NES.JPG", "AF06NES.png", "MANES.JPG")),
    ):
        assert part in why.pop(name)
    assert why == {}
    unseen = load("kdef", root, verify=False)
    assert len(unseen) == 4


def test_kdef_angles():
    assert parse_angles("HR, hl") == ("HL", "HR")
    assert parse_angles("all") == ("FL", "HL", "S", "HR", "FR")
    for wrong in ("", "HL,X", "HL,,S", ()):
        with pytest.raises(UserError):
            parse_angles(wrong)


@pytest.mark.parametrize("divided", [True, False])
def test_fesr_understands_names_of_folders(tmp_path, draw, divided):
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
            draw(tmp_path / "set" / "FESR" / part / word, "1.png")
    dataset = load("fesr", tmp_path / "set")
    assert dataset.class_names == tuple(words.values())
    assert len(dataset) == (15 if divided else 5)
    assert ("split" in dataset.manifest) == divided
    for row in dataset.manifest.to_dict("records"):
        *_, part, word, _ = row["path"].split("/")
        assert row["label"] == words[word]
        assert row.get("split") == parts.get(part)
    (tmp_path / "set" / "FESR" / ("Train/x" if divided else "x")).mkdir()
    assert len(load("fesr", tmp_path / "set")) == len(dataset)
    draw(
        tmp_path / "set" / "FESR" / ("Train" if divided else ""), "angry/1.png"
    )
    with pytest.raises(UserError, match="angry"):
        load("fesr", tmp_path / "set")


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
        assert tuple(dataset.manifest["label"]) == FER_CODES
        parts = ["train", "validation", "test", "train"]
        assert list(dataset.manifest["split"])[:4] == parts
        picture = dataset.read_image(dataset.manifest["path"][3])
        assert picture.shape == (48, 48, 3)
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
    names = ["fer2013.csv#2", "fer2013.csv#12"]
    assert list(dataset.manifest["path"]) == names
    # Rows keep their own pixels when some before them are skipped.
    picture = dataset.read_image("fer2013.csv#12")
    np.testing.assert_array_equal(picture[0, :3, 0], [0, 7, 14])
    lines = [f"fer2013.csv#{line}" for line in range(3, 12)]
    assert list(reasons(dataset)) == lines
    assert "blank" in reasons(dataset)["fer2013.csv#11"]


def test_fer2013_csv_without_usage_or_columns(tmp_path):
    path = write_csv(tmp_path / "train.csv", "emotion,pixels", [f"0,{FACE}"])
    assert "split" not in load("fer2013", tmp_path).manifest
    for header, rows in (
        ("emotion,pictures", ["0,1"]),
        ("emotion,pixels", []),
        ("emotion,pixels", ["0,1,2,3"]),
    ):
        write_csv(path, header, rows)
        with pytest.raises(UserError):
            load("fer2013", path)


def test_fer2013_folders(tmp_path, draw):
    for part in ("train", "test"):
        for label in ("angry", "Happy", "sadness"):
            draw(tmp_path / part / label, "1.png")
    dataset = load("fer2013", tmp_path)
    assert len(dataset.class_names) == 7
    assert set(dataset.manifest["label"]) == {"angry", "happy", "sad"}
    counts = dataset.manifest["split"].value_counts().to_dict()
    assert counts == {"train": 3, "test": 3}


@pytest.mark.parametrize("folders", [True, False])
def test_ferplus_is_read_as_its_authors_do(tmp_path, draw, folders):
    votes = {
        # neutral, happiness, surprise, sadness, anger, disgust, fear,
        # contempt, unknown, not a face.
        "Training,fer0.png": "4,0,0,1,4,0,0,0,1,0",
        "Training,fer1.png": "0,9,1,0,0,0,0,0,0,0",
        "Training,fer2.png": "1,1,1,1,1,1,1,1,1,1",
        "Training,fer3.png": "2,0,0,0,0,0,0,0,8,0",
        "PublicTest,fer4.png": "0,0,0,0,0,0,3,5,2,0",
        "Training,fer5.png": "0,x,0,0,0,0,0,0,0,0",
        "PrivateTest,fer6.png": "9,0,0,0,0,0,0,0,0,0",
    }
    names = "neutral,happiness,surprise,sadness,anger,disgust,fear"
    lines = [f"Usage,Image name,{names},contempt,unknown,NF"]
    lines += [f"{image},{counts}" for image, counts in votes.items()]
    lines += ["Training,,0,0,0,0,0,0,0,0,0,10", lines[2]]
    (tmp_path / "fer2013new.csv").write_text("\n".join(lines), "utf-8")
    if folders:
        for index in range(6):
            folder = "FER2013Valid" if index == 4 else "FER2013Train"
            draw(tmp_path / folder, f"fer{index}.png")
    else:
        rows = [f"0,{FACE},Training"] * 6
        write_csv(tmp_path / "fer2013.csv", "emotion,pixels,Usage", rows)
    dataset = load("ferplus", tmp_path)
    manifest = dataset.manifest
    assert manifest["label"].tolist() == ["angry", "happy", "contempt"]
    assert manifest["split"].tolist() == ["train", "train", "validation"]
    assert dataset.majority.tolist() == [False, True, False]
    np.testing.assert_allclose(
        dataset.targets,
        [
            [0.5, 0, 0, 0, 0.5, 0, 0, 0],
            [0, 0, 0, 1, 0, 0, 0, 0],
            [0, 0, 0.375, 0, 0, 0, 0, 0.625],
        ],
    )
    assert dataset.votes[0].tolist() == [4, 0, 0, 0, 4, 1, 0, 0, 1, 0]
    told = " ".join(dataset.skipped_files["reason"])
    for reason in ("no two people agree", "unknown", "not counts"):
        assert reason in told
    assert ("again" in told) == folders


def test_folder_of_classes(tmp_path, draw):
    draw(tmp_path, "joy/Zoë 王.png", "joy/deeper/a b.png", "anger/[red].png")
    draw(tmp_path, "loose.png", "__MACOSX/joy/x.png", "anger/.hidden.png")
    (tmp_path / "anger" / "like.jpg").mkdir()
    (tmp_path / "anger" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "anger" / "back").symlink_to(tmp_path)
    dataset = load("folder", tmp_path, verify=False)
    # `back` leads to the whole tree once more, and no further.
    assert {"anger/back/joy/Zoë 王.png"} <= set(dataset.manifest["path"])
    assert not dataset.manifest["path"].str.contains("back/anger").any()
    (tmp_path / "anger" / "back").unlink()
    (tmp_path / "anger" / "Thumbs.db").write_bytes(b"x")
    dataset = load("folder", tmp_path)
    assert dataset.class_names == ("anger", "joy")
    rows = dict(dataset.manifest[["path", "label"]].to_numpy().tolist())
    assert rows == {
        "anger/[red].png": "anger",
        "joy/Zoë 王.png": "joy",
        "joy/deeper/a b.png": "joy",
    }
    assert set(reasons(dataset)) == {
        *("loose.png", "anger/gone.jpg", "anger/Thumbs.db")
    }


@pytest.mark.parametrize(
    ("pictures", "folders", "message"),
    [
        (["a/1", "b/1"], ["c"], ": c"),
        (["a/1"], [], "two classes"),
        (["a/1", "b/1", "B/1"], [], "'B' and 'b'"),
        (["train/a/1", "test/a/1", "test/b/1"], [], "in train.*: b"),
        (["train/a/1", "train/b/1", "spare/b/1"], [], "spare"),
        ([], ["a", "b"], "manifest.csv"),
    ],
)
def test_folder_refuses_classes(tmp_path, draw, pictures, folders, message):
    for name in pictures:
        draw(tmp_path, f"{name}.png")
    for name in folders:
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=message):
        load("folder", tmp_path)


def test_folder_refuses_a_class_of_unreadable_pictures(tmp_path, draw):
    draw(tmp_path, "a/1.png", "b/1.png").write_bytes(b"none")
    with pytest.raises(UserError, match=r"(?s) b .*b/1\.png"):
        load("folder", tmp_path)


def test_subjects_by_pattern(tmp_path, draw):
    for name in ("angry/Al_Gore_0002", "angry/Bo_1", "happy/Al_Gore_0001"):
        draw(tmp_path, f"{name}.png")
    draw(tmp_path, "happy/nobody.png")
    for pattern in (r"^(.+)_\d+\.png$", r"^((?P<subject>.+)_\d+)\.png$"):
        dataset = load("folder", tmp_path, subject_pattern=pattern)
        assert list(dataset.manifest["subject"]) == ["Al_Gore", "Bo", "Al_Gore"]
        assert dataset.has_subjects
        assert list(reasons(dataset)) == ["happy/nobody.png"]
    for wrong in ("(", "^.*_", r"^(\d+)-"):
        with pytest.raises(UserError) as raised:
            load("folder", tmp_path, subject_pattern=wrong)
        assert wrong in str(raised.value)


def test_manifest(tmp_path, draw):
    draw(tmp_path, "a/1.png", "NA/ü 2.png", "3.png")
    (tmp_path / "manifest.csv").write_text(
        "Path,label,subject,split\n"
        "a/1.png,joy,7,train\nNA/ü 2.png,NA,NA, Training\n3.png,joy,,val\n"
        "4.png,joy,8,test\n",
        encoding="utf-8",
    )
    dataset = load("folder", tmp_path)
    assert dataset.class_names == ("NA", "joy")
    assert list(dataset.manifest["label"]) == ["joy", "NA", "joy"]
    assert list(dataset.manifest["split"]) == ["train", "train", "validation"]
    assert list(dataset.manifest["subject"][:2]) == ["7", "NA"]
    assert not dataset.has_subjects
    assert list(reasons(dataset)) == ["4.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n../x.png,a\n", r"line 2.*\.\./x\.png"),
        ("path,label\n1.png,a\na/../../x.png,a\n", "line 3"),
        ("path,label\n/etc/x.png,a\n", "line 2"),
        ("path,label\n /etc/x.png,a\n", "line 2"),
        ("path,label\nC:\\x.png,a\n", "line 2"),
        ("path,label\na\\..\\..\\x.png,a\n", "line 2"),
        ("path,label\n,a\n", "line 2"),
        ("path,label\n1.png,\n", "line 2"),
        ("path,label\n1.png,a\n1.png,b\n", "line 3"),
        ("path,label,split\n1.png,a,train\n2.png,b,other\n", "line 3.*2.png"),
        ("path,label,split\n1.png,a,train\n2.png,b,\n", "line 3"),
        ("path,label,margin\n1.png,a,0.2\n2.png,b,\n", "line 3"),
        ("path,label,margin\n1.png,a,2\n2.png,b,2\n", "line 2"),
        ("path,label,margin\n1.png,a,wide\n2.png,b,nan\n", "line 2"),
        ("path,label,margin\n1.png,a,0.1\n2.png,b,0.2\n", "line 3"),
        ("path,label,prob:a\n1.png,a,1\n2.png,b,1\n", "prob:a"),
        ("path,label,prob:a,prob:b\n1.png,a,0,0\n2.png,b,0,2\n", "line 2"),
        ("path,label,prob:a,prob:b\n1.png,a,1,0\n2.png,b,x,2\n", "line 3"),
        ("path,class\n1.png,a\n", "label"),
        ("path,label\n", "manifest.csv"),
        ("", "CSV"),
        ('path,label\n"1.png,a\n', "CSV|line"),
        ("path,label\nü,a".encode("latin1"), "UTF-8"),
    ],
)
def test_manifest_is_refused(tmp_path, draw, text, message):
    draw(tmp_path, "1.png", "2.png")
    content = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        load("folder", tmp_path)


def test_a_manifest_has_margins_and_soft_labels(tmp_path, draw):
    draw(tmp_path, "1.png", "2.png")
    (tmp_path / "manifest.csv").write_text(
        "path,label,Margin,prob:Happy,prob:sad\n"
        "1.png,happy,0.20,3,1\n2.png,sad, .2,0,2\n"
    )
    dataset = load("folder", tmp_path)
    assert dataset.margin == 0.2
    assert "margin" not in dataset.manifest
    np.testing.assert_array_equal(dataset.targets, [[0.75, 0.25], [0, 1]])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kdef", ("KDEF is", "https://kdef.se")),
        ("fesr", ("FESR is", "fesr")),
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
        (None, tmp_path / "empty"),
    ):
        if given:
            monkeypatch.setenv("KERAFER_DATA", str(given))
        with pytest.raises(UserError) as raised:
            load(name, root)
        message = str(raised.value)
        example = "kerafer train --dataset synthetic"
        for word in (*words, "`data_dir`", f"data/{name}", example):
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


def test_names_options_and_labels_are_checked(tmp_path, draw):
    draw(tmp_path, "AF01ANS.JPG")
    assert len(load("kdef", tmp_path, angles=None, subject_pattern=None)) == 1
    with pytest.raises(UserError, match="ckplus"):
        load("ckplus")
    with pytest.raises(UserError, match=r"subject_pattern.*angles"):
        load("kdef", tmp_path, subject_pattern="(.)")
    with pytest.raises(UserError, match=r"AF01ANS"):
        load("kdef", tmp_path / "AF01ANS.JPG")
    rows = pd.DataFrame({"path": ["1"], "label": ["glee"]})
    with pytest.raises(UserError, match="glee"):
        Dataset("own", rows, ("joy",))


def pack(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def test_archive_as_root(tmp_path, draw, elsewhere):
    image = draw(tmp_path, "1.jpg").read_bytes()
    path = pack(
        tmp_path / "my faces.zip",
        {
            "top/joy/ü 1.jpg": image,
            "top\\anger\\1.jpg": image,
            "__MACOSX/top/joy/._1.jpg": b"x",
            "top/.DS_Store": b"x",
        },
    )
    dataset = load("folder", path)
    assert dataset.root.name == "my faces"
    assert elsewhere / "cache" in dataset.root.parents
    paths = ["top/anger/1.jpg", "top/joy/ü 1.jpg"]
    assert sorted(dataset.manifest["path"]) == paths
    assert dataset.skipped_files.empty
    assert load("folder", path).root == dataset.root
    pack(path, {"a/1.jpg": image, "b/1.jpg": image, "b/2.jpg": image})
    assert len(load("folder", path)) == 3


@pytest.mark.parametrize(
    "name",
    [
        *("../evil.jpg", "a/../../evil.jpg", "a\\..\\..\\evil.jpg"),
        *("/evil.jpg", "\\evil.jpg", "C:/evil.jpg", "link"),
    ],
)
def test_archive_stays_inside_its_folder(tmp_path, name):
    info = zipfile.ZipInfo(name)
    if name == "link":
        info.external_attr = 0o120777 << 16
    path = pack(tmp_path / "set.zip", {"a/1.jpg": b"x"})
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(info, "/etc")
    unpack(path, tmp_path / "out")
    assert {x.name for x in tmp_path.iterdir()} == {"set.zip", "out"}
    files = [x for x in (tmp_path / "out").rglob("*") if not x.is_dir()]
    assert len(files) in (1, 2)
    assert not any(x.is_symlink() for x in files)


@pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_BYTES"])
def test_archive_is_bounded(tmp_path, monkeypatch, limit):
    path = pack(tmp_path / "bomb.zip", {"a": b"0" * 5000, "b": b"1"})
    monkeypatch.setattr(archive, limit, 1)
    with pytest.raises(UserError, match=r"bomb\.zip"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_and_encrypted_archives_leave_nothing_behind(tmp_path, draw):
    image = draw(tmp_path, "1.jpg").read_bytes()
    path = pack(tmp_path / "set.zip", {f"a/{i}.jpg": image for i in range(9)})
    whole = path.read_bytes()
    damaged, encrypted = bytearray(whole), bytearray(whole)
    damaged[len(whole) // 2] ^= 255
    encrypted[whole.index(b"PK\x01\x02") + 8] |= 1
    for content in (damaged, encrypted, b"no archive"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"set\.zip"):
            unpack(path, tmp_path / "out")
        names = {x.name for x in tmp_path.iterdir()}
        assert names == {"set.zip", "1.jpg"}


def write_sequence(draw, root, sequence, n_frames, code=None):
    subject, number = sequence.split("_")
    images = root / "cohn-kanade-images" / subject / number
    names = [f"{sequence}_{i:08d}.png" for i in range(1, n_frames + 1)]
    draw(images, *names)
    if code is not None:
        label = root / "Emotion" / subject / number / names[-1]
        label.parent.mkdir(parents=True)
        label.with_name(f"{label.stem}_emotion.txt").write_text(
            f"   {code:.7e}\n"
        )


def test_ckplus_published_tree_has_three_frames_of_each_label(tmp_path, draw):
    # The codes of the database: 0 neutral, 1 anger ... 7 surprise.
    for code in range(8):
        write_sequence(draw, tmp_path, f"S01{code}_001", 5, code)
    write_sequence(draw, tmp_path, "S010_002", 4)
    dataset = load("ckplus", tmp_path)
    rows = dataset.manifest.set_index("path")
    assert len(rows) == 7 * 3
    labels = dict(zip(rows["subject"], rows["label"], strict=True))
    assert [labels[f"S01{code}"] for code in range(1, 8)] == [
        *("angry", "contempt", "disgusted", "fearful", "happy", "sad"),
        "surprised",
    ]
    last = "cohn-kanade-images/S013/001/S013_001_00000005.png"
    assert rows.loc[last, "sequence"] == "S013_001"
    assert not rows.index.str.contains("_0000000[12]").any()
    # Unlabelled and neutral sequences, and the first frames of the others.
    assert len(dataset.skipped_files) == 4 + 5 + 7 * 2


def test_ckplus_48_is_split_by_subject_or_at_random(tmp_path, draw):
    folders = ("anger", "contempt", "disgust", "fear", "happy", "sadness")
    for subject in range(30):
        for index, folder in enumerate((*folders, "surprise")):
            sequence = f"S{subject:03d}_{index:03d}"
            names = [f"{sequence}_{frame:08d}.png" for frame in (7, 8, 9)]
            draw(tmp_path / "CK+48" / folder, *names)
    dataset = load("ckplus", tmp_path)
    assert len(dataset) == 30 * 7 * 3
    assert dataset.manifest["subject"].nunique() == 30
    for kind, shared in (("subject", False), ("paper", True)):
        split = make_split(dataset, kind)
        assert bool(shared_subjects(dataset, split)) == shared


def test_ckplus_refuses_a_label_file_without_a_code(tmp_path, draw):
    write_sequence(draw, tmp_path, "S010_001", 3, 9)
    with pytest.raises(UserError, match="9"):
        load("ckplus", tmp_path)
