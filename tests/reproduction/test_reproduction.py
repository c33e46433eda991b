"""Plans, tables and figures of a reproduction, mostly on made-up runs."""

import dataclasses
import json
import subprocess
import sys

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

import kerafer
from kerafer.cli import main
from kerafer.errors import UserError
from kerafer.models import create_model, list_models
from kerafer.models.registry import find_model
from kerafer.reproduction import executors
from kerafer.reproduction.ablations import (
    Variant,
    ablations,
    group_of_table,
    open_questions,
)
from kerafer.reproduction.figures import FIGURES, band
from kerafer.reproduction.plan import Training, find_runs, make_plan
from kerafer.reproduction.structure_drawing import boxes, draw_structure
from kerafer.reproduction.tables import (
    paired_difference,
    paper_results,
    paper_value,
    run_table,
    score_table,
)
from kerafer.settings import as_flags
from kerafer.training.config import TrainingConfig
from kerafer.versions import versions

CLASSES = ("angry", "happy", "sad")
BASE = TrainingConfig(epochs=2, image_size=64, subjects=6)
# The least that trains: what the command adds is the plan around it.
SMALL = ["--subjects", "6", "--image-size", "64", "--epochs", "1"]


def made_up_run(folder, config, accuracy=0.5, over=True):
    """What a training leaves behind, without the training."""
    folder.mkdir(parents=True)
    text = yaml.safe_dump(dataclasses.asdict(config))
    (folder / "config.yaml").write_text(text)
    (folder / "versions.yaml").write_text(yaml.safe_dump(versions()))
    if not over:
        return
    right = round(100 * accuracy)
    confusion = [[right, 100 - right, 0], [0, 100, 0], [0, 0, 100]]
    scores = {"precision": 0.1, "recall": 0.2, "f1": 0.3, "support": 100}
    macro = {"precision": 0.4, "recall": accuracy / 2, "f1": 0.6}
    metrics = {
        "test": {
            "accuracy": accuracy,
            "macro": macro,
            "per_class": {name: scores for name in CLASSES},
            "confusion": confusion,
            "n_images": 300,
        },
        "split": config.split or "subject",
        "epochs": 2,
        "best_epoch": 1,
        "parameters": 10,
        "macs": 20,
        "precision": "float32",
        "seconds": 60.0,
        "images_per_second": 10.0,
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "best.keras").touch()
    history = {"val_accuracy": [0.2, accuracy], "val_loss": [1.0, 0.9]}
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)


@pytest.fixture
def trainer(monkeypatch):
    """Trainings that end at once; says which were run."""
    ran = []

    def fake(trainings):
        for training in trainings:
            if not (training.folder / "config.yaml").exists():
                made_up_run(
                    training.folder,
                    training.config,
                    0.5 + 0.01 * training.config.seed,
                )
            ran.append(training.name)
            yield training, 1.0

    monkeypatch.setitem(executors.RUN, "here", fake)
    return ran


# === The article's numbers and the ablations as data ===


def test_every_number_of_the_article_says_where_it_is_from():
    table = paper_results()
    assert len(table) == 39
    kinds = table["provenance"].str.split(r"[ :]").str[0]
    assert set(kinds) == {"stated", "derived"}
    assert paper_value("KDEF", "wca_mcnn", "accuracy") == ("94.968", "")
    assert paper_value("KDEF", "cnn", "accuracy") == ("", "91.636")
    assert paper_value("KDEF", "nobody", "accuracy") == ("", "")
    # The article's own sums: gains over CNN, MsC first and wCA on top.
    gains = table[table["metric"] == "accuracy_gain_over_cnn"]
    gains = gains.set_index(["dataset", "model"])["value"].astype(float)
    cnn = float(paper_value("KDEF", "cnn", "accuracy")[1])
    for model in ("mcnn", "wca_mcnn"):
        whole = sum(
            map(float, filter(None, paper_value("KDEF", model, "accuracy")))
        )
        assert whole - cnn == pytest.approx(gains["KDEF", model], abs=1e-9)


def test_every_variant_can_be_built_or_is_a_method_still_to_come():
    later = {"ddamfn", "mlcl_net", "res_emote_net", "ma_net", "cder_net"}
    for group in ablations().values():
        for variant in group.variants:
            if variant.arch in list_models():
                config = TrainingConfig(options=variant.options)
                find_model(variant.arch, **config.model_options)
            else:
                assert variant.arch in later


def test_tables_are_the_articles():
    names = [v.arch for v in group_of_table(5, "kdef")[0].variants]
    family = [n for n in list_models() if n.endswith("resnet18")]
    assert sorted(names) == sorted(family)
    assert group_of_table(7, "fesr")[0].key == "wse"
    assert group_of_table(2, "synthetic")[0].key == "cnn"
    with pytest.raises(UserError, match="is the article's for FESR"):
        group_of_table(2, "kdef")
    with pytest.raises(UserError, match="no table 9"):
        group_of_table(9, "kdef")
    assert "wavelet_input" in open_questions()
    assert "cnn" not in open_questions()


# === The plan ===


def test_a_training_that_two_tables_need_is_planned_once(tmp_path):
    groups = ablations()
    variants = [*groups["cnn"].variants, *groups["wse"].variants]
    plan = make_plan(variants, BASE, 3, tmp_path)
    assert len(plan) == 3 * 5
    assert len({t.folder for t in plan}) == 15
    # Seed by seed, so that a plan that is cut short has whole comparisons.
    assert [t.config.seed for t in plan] == sorted([0, 1, 2] * 5)
    assert {t.state for t in plan} == {"missing"}


def test_runs_stand_by_their_settings_not_by_their_names(tmp_path):
    moved = dataclasses.replace(BASE, arch="cnn", data_dir="elsewhere")
    made_up_run(tmp_path / "by hand", moved)
    longer = dataclasses.replace(BASE, arch="mcnn", epochs=3)
    made_up_run(tmp_path / "longer", longer)
    begun = dataclasses.replace(BASE, arch="wca_cnn")
    made_up_run(tmp_path / "begun", begun, over=False)
    variants = [Variant(a, a) for a in ("cnn", "mcnn", "wca_cnn")]
    plan = make_plan(variants, BASE, 1, tmp_path)
    assert [t.state for t in plan] == ["done", "missing", "begun"]
    assert plan[0].folder.name == "by hand"
    assert plan[2].folder.name == "begun"
    assert find_runs(BASE, variants[0], 1, plan) == plan[:1]


def test_what_is_default_is_the_same_run_when_said(tmp_path):
    """A variant's split comes over the shared one, which may be unsaid."""
    made_up_run(tmp_path / "cnn", dataclasses.replace(BASE, arch="cnn"))
    variants = ablations()["split"].variants
    plan = make_plan(variants, BASE, 1, tmp_path)
    assert [(t.config.split, t.state) for t in plan] == [
        ("subject", "done"),
        *(("paper", "missing"), ("subject", "missing"), ("paper", "missing")),
    ]


def test_a_run_without_its_model_is_an_error(tmp_path):
    config = dataclasses.replace(BASE, arch="cnn")
    made_up_run(tmp_path / "run", config)
    (tmp_path / "run" / "best.keras").unlink()
    with pytest.raises(UserError, match=r"best\.keras"):
        make_plan([Variant("CNN", "cnn")], BASE, 1, tmp_path)


def test_flags_say_what_settings_are():
    config = dataclasses.replace(BASE, deterministic=True, options="ratio=8")
    flags = as_flags(config)
    assert flags == [
        *("--subjects", "6", "--image-size", "64", "--options", "ratio=8"),
        *("--epochs", "2", "--deterministic"),
    ]
    assert as_flags(config, ("arch",))[4:6] == ["--arch", "wca_mcnn"]


# === Tables ===


def test_interval_of_a_difference_is_that_of_a_paired_t_test():
    generator = np.random.default_rng(0)
    seeds = range(5)
    one = pd.Series(generator.normal(90, 2, 5), index=seeds)
    other = pd.Series(generator.normal(88, 2, 5), index=seeds)
    mean, low, high = paired_difference(one, other)
    expected = stats.ttest_rel(one, other).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert mean == pytest.approx((one - other).mean())
    # Seeds that one of them lacks do not count.
    assert paired_difference(one, other.iloc[1:])[0] == pytest.approx(
        (one - other).iloc[1:].mean()
    )
    assert np.isnan(paired_difference(one.iloc[:1], other)[1])


def test_scores_over_runs_stand_beside_the_articles(tmp_path):
    group = ablations()["cnn"]
    scores = {"cnn": (0.80, 0.84), "mcnn": (0.90, 0.92)}
    for arch, values in scores.items():
        for seed, accuracy in enumerate(values):
            config = dataclasses.replace(BASE, arch=arch, seed=seed)
            made_up_run(tmp_path / f"{arch}{seed}", config, accuracy)
    plan = make_plan(group.variants, BASE, 2, tmp_path)
    table = score_table(group, BASE, 2, plan, "KDEF").set_index("model")
    assert table["runs"].tolist() == [2, 2, 0, 0]
    # By hand: the mean of 80 and 84, their deviation 4 / sqrt(2).
    assert table.loc["CNN", "accuracy %"] == "82.00 ± 2.83"
    assert table.loc["MCNN", "recall %"] == "45.50 ± 0.71"
    # Differences 10 and 8: 9 ± 12.706 * sqrt(2) / sqrt(2).
    assert table.loc["MCNN", "difference"] == "+9.00 (-3.71 to +21.71)"
    assert table.loc["CNN", "article, KDEF, derived %"] == "91.636"
    assert table.loc["CNN", "article, KDEF, stated %"] == ""
    assert table.loc["wCA-MCNN", "article, KDEF, stated %"] == "94.968"
    assert table.loc["CNN", "test images"] == "300"
    done = [training for training in plan if training.state == "done"]
    runs = run_table(done)
    assert runs["minutes"].tolist() == [1.0] * 4
    assert "elsewhere" not in runs.to_csv()
    assert runs["command"][0].startswith("kerafer train")


@pytest.mark.slow
def test_table_8_has_the_published_counts(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    out = tmp_path / "out"
    assert main(["reproduce", "--tables", "8", "--out", str(out)]) == 0
    table = pd.read_csv(out / "table_8.csv", dtype=str, keep_default_na=False)
    table = table.set_index("model")
    assert sorted(table.index) == list_models()
    for model, millions, cost in (
        ("mcnn", "57.6406", "1.1385"),
        ("wca_mcnn", "57.6509", "1.1386"),
        ("resnet18", "", "1.8235"),
        ("msc_wca_resnet18", "11.29", "8.7320"),
    ):
        row = table.loc[model]
        assert row["article, M"] == millions
        assert row["article, G"] == cost == row["multiply-adds, G"]
    assert table.loc["mcnn", "parameters"] == "57,640,647"
    shown = capfd.readouterr().err
    assert "57.6499 M at ratio 8" in " ".join(shown.split())
    page = (out / "report.md").read_text("utf-8")
    assert "| wca_mcnn | 57,659,175 | 57.6509 | 1.1386 | 1.1386 |" in page
    assert "kerafer reproduce --tables 8" in page
    # Nothing was trained, and no data set was looked for.
    assert sorted(f.name for f in out.iterdir()) == ["report.md", "table_8.csv"]


def test_footnote_of_table_8_counts_right():
    for options, millions in (
        ({"ratio": 8}, 57.6499),
        ({"shared": False}, 57.6775),
    ):
        model = create_model("wca_mcnn", **options)
        gate = next(x for x in model.layers if x.name == "attention")
        without = model.count_params() - sum(
            int(np.prod(w.shape))
            for w in gate.trainable_weights
            if w.path.split("/")[-1] in ("scale", "shift")
        )
        fixed = sum(int(np.prod(w.shape)) for w in model.non_trainable_weights)
        assert (without - fixed) / 1e6 == pytest.approx(millions, abs=6e-5)


# === Figures ===


def test_band_over_runs_of_different_length():
    runs = [np.array([1.0, 2.0, 6.0]), np.array([3.0, 4.0])]
    mean, low, high = band(runs)
    np.testing.assert_array_equal(mean, [2, 3, 6])
    np.testing.assert_array_equal(low, [1, 2, 6])
    np.testing.assert_array_equal(high, [3, 4, 6])


def test_a_drawing_tells_the_articles_structure(tmp_path):
    steps = boxes(create_model("wca_mcnn"))
    told = [(step.text, step.shape) for step in steps]
    for line in (
        ("MsC(3, 5, 7; stride 4), 64 each, ReLU", "56 x 56 x 192"),
        ("Maxpool(3, 2, 0)", "27 x 27 x 192"),
        ("wCA, ratio 4", "27 x 27 x 192"),
        ("Conv(5, 1, 2), 192, BN, ReLU", "27 x 27 x 192"),
        ("Conv(3, 1, 1), 256, BN, ReLU", "13 x 13 x 256"),
        ("FC, 4096, ReLU", "4096"),
        ("FC, 7, softmax", "7"),
    ):
        assert line in told, line
    steps = boxes(create_model("resnet18"))
    told = [(step.text, step.shape) for step in steps]
    assert told[2] == ("Conv(7, 2, 3), 64, BN, ReLU", "112 x 112 x 64")
    assert told[3] == ("Maxpool(3, 2, 1)", "56 x 56 x 64")
    assert sum("residual block" in text for text, _ in told) == 8
    assert ("residual block: 2 x Conv(3), 512", "7 x 7 x 512") in told
    other = create_model(
        "msc_wca_resnet18",
        input_shape=(48, 48, 3),
        kernel_sizes=(3, 3, 5),
        dilation_rates=(1, 3, 1),
        groups=3,
    )
    assert boxes(other)[2].text == (
        "MsC(3, 3, 5; stride 1; dilation 1, 3, 1; 3 groups), 60 each, BN, ReLU"
    )
    draw_structure(create_model("cnn"), tmp_path / "cnn.png")
    picture = cv2.imread(str(tmp_path / "cnn.png"))
    assert picture.shape[0] > 500
    assert picture.std() > 10


# === The command ===


def test_nothing_is_trained_twice(tmp_path, trainer, capfd):
    words = ["reproduce", *SMALL, "--runs", "2", "--out", str(tmp_path)]
    assert main([*words, "--tables", "7"]) == 0
    assert trainer == [
        *("mcnn paper, seed 0", "wse_mcnn paper, seed 0"),
        *("mcnn paper, seed 1", "wse_mcnn paper, seed 1"),
    ]
    told = capfd.readouterr().err
    assert "Trainings needed: 4. Done before: 0" in told
    trainer.clear()
    before = (tmp_path / "report.md").read_text("utf-8")
    more = [*words, "--tables", "4,7", "--figures", "14,16"]
    assert main(more) == 2
    assert "report of another command. Use --force" in capfd.readouterr().err
    assert (tmp_path / "report.md").read_text("utf-8") == before
    assert main([*more, "--force"]) == 0
    # Its own it makes anew.
    assert main(more) == 0
    assert len(trainer) == 10, "the four of table 7 stood"
    told = capfd.readouterr().err
    assert "Trainings needed: 14. Done before: 4" in told
    assert "Trainings needed: 14. Done before: 14" in told
    names = {f.name for f in tmp_path.iterdir() if f.is_file()}
    assert names == {
        *("report.md", "runs.csv", "table_4.csv", "table_7.csv"),
        *("figure_14.png", "figure_16.png"),
    }
    page = (tmp_path / "report.md").read_text("utf-8")
    assert "50.50 ± 0.71" in page
    assert "![Figure 16: Confusion matrix](figure_16.png)" in page
    assert str(tmp_path) not in page


def test_a_killed_reproduction_goes_on(tmp_path, trainer, monkeypatch):
    """The second training is cut off; the next call begins with it."""
    whole = executors.RUN["here"]

    def cut(trainings):
        yield from whole(trainings[:1])
        made_up_run(trainings[1].folder, trainings[1].config, over=False)
        raise KeyboardInterrupt

    monkeypatch.setitem(executors.RUN, "here", cut)
    words = ["reproduce", *SMALL, "--runs", "1", "--tables", "7"]
    assert main([*words, "--out", str(tmp_path)]) == 130
    assert not (tmp_path / "report.md").exists()
    seen = []

    def rest(trainings):
        for training in trainings:
            seen.append((training.name, training.state))
            metrics = training.folder / "metrics.json"
            other = next((tmp_path / "runs").glob("*/metrics.json"))
            metrics.write_text(other.read_text())
            (training.folder / "best.keras").touch()
            yield training, 1.0

    monkeypatch.setitem(executors.RUN, "here", rest)
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert seen == [("wse_mcnn paper, seed 0", "begun")]


def test_models_are_trained_by_the_articles_protocol(tmp_path, trainer):
    words = ["reproduce", "--runs", "1", "--tables", "7", "--subjects", "6"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    found = {}
    for file in tmp_path.glob("runs/*/config.yaml"):
        values = yaml.safe_load(file.read_text())
        found[values["arch"]] = values
    assert set(found) == {"mcnn", "wse_mcnn"}
    for values in found.values():
        assert values["augment"] == "none"
        assert values["split"] == "paper"
        assert (values["patience"], values["min_delta"]) == (30, 1e-5)
        assert (values["epochs"], values["subjects"]) == (200, 6)
    # The function does the same, and a setting that is named is kept.
    kerafer.reproduce(
        tables=[7], runs=1, subjects=6, augment="light", out=tmp_path / "other"
    )
    for file in (tmp_path / "other").glob("runs/*/config.yaml"):
        assert yaml.safe_load(file.read_text())["augment"] == "light"


def test_archs_leave_out_the_rest(tmp_path, trainer):
    words = ["reproduce", *SMALL, "--runs", "1", "--out", str(tmp_path)]
    assert main([*words, "--tables", "4", "--models", "cnn,wca_cnn"]) == 0
    assert trainer == ["cnn paper, seed 0", "wca_cnn paper, seed 0"]
    page = (tmp_path / "report.md").read_text("utf-8")
    assert "Without a run here: MCNN, wCA-MCNN." in page


def test_questions_are_planned_from_their_lines(tmp_path, trainer):
    words = ["reproduce", *SMALL, "--runs", "1", "--out", str(tmp_path)]
    assert main([*words, "--questions", "ratio,branches"]) == 0
    assert trainer == [
        *("wca_mcnn paper, seed 0", "wca_mcnn ratio=8 paper, seed 0"),
        "wca_mcnn shared=false paper, seed 0",
    ]
    assert (tmp_path / "question_ratio.csv").exists()


@pytest.mark.parametrize(
    "words, told",
    [
        (["--dataset", "kdef", "--tables", "2"], "Table 2 is the"),
        (["--dataset", "fesr", "--figures", "16"], "Figure 16 is the"),
        (["--tables", "9"], "no table 9"),
        (["--tables", "four"], "--tables cannot be four"),
        (["--figures", "7"], "no figure 7"),
        (["--questions", "why"], "'why'"),
        (["--runs", "0"], "--runs must be at least 1"),
        (["--tables", "7", "--models", "alexnet"], "cder_net"),
        (["--tables", "7", "--models", "cnn"], "have none of the --models"),
        (["--tables", "4", "--dataset", "kdef"], "KDEF"),
        (["--epochs", "0"], "--epochs must be at least 1"),
    ],
)
def test_mistakes_of_the_user(words, told, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERAFER_DATA", raising=False)
    assert main(["reproduce", *words]) == 2
    error = capfd.readouterr().err
    assert told in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


# === Where trainings run ===


def test_a_failed_training_is_told_in_its_own_words(tmp_path):
    config = dataclasses.replace(BASE, arch="cnn", image_size=8)
    training = Training(config, tmp_path / "runs" / "cnn", "missing")
    with pytest.raises(UserError, match="cnn, seed 0 failed") as caught:
        list(executors.run_here([training]))
    assert "pixels" in str(caught.value)
    assert not training.folder.exists()
    assert (tmp_path / "runs" / "cnn.log").is_file()


@pytest.mark.slow
def test_the_whole_way_on_drawn_faces(tmp_path):
    """Real trainings, a real Grad-CAM sheet; as a stranger would run it."""
    words = [*SMALL, "--subjects", "10", "--runs", "1", "--augment", "none"]
    words += ["--models", "wca_mcnn", "--tables", "4", "--figures", "11,14,19"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "kerafer",
            "reproduce",
            *words,
            "--out",
            str(tmp_path / "out"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    files = {f.name for f in (tmp_path / "out").iterdir()}
    assert files == {
        *("report.md", "runs.csv", "table_4.csv", "runs"),
        *("figure_11.png", "figure_14.png", "figure_19.png"),
    }
    table = pd.read_csv(tmp_path / "out" / "runs.csv")
    metrics = next((tmp_path / "out" / "runs").glob("*/metrics.json"))
    expected = json.loads(metrics.read_text())["test"]["accuracy"]
    assert table["accuracy"].tolist() == [expected]


@pytest.mark.clients
def test_a_ray_cluster_of_two_workers(tmp_path):
    """Two trainings on two workers come back whole; a bad one is told."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        base = dataclasses.replace(BASE, epochs=1, augment="none")
        plan = make_plan([Variant("CNN", "cnn")], base, 2, tmp_path)
        over = [training for training, _ in executors.run_on_ray(plan)]
        assert {t.config.seed for t in over} == {0, 1}
        again = make_plan([Variant("CNN", "cnn")], base, 2, tmp_path)
        assert {t.state for t in again} == {"done"}
        assert set(run_table(again)["seed"]) == {0, 1}
        bad = dataclasses.replace(base, image_size=8, arch="cnn")
        training = Training(bad, tmp_path / "bad", "missing")
        with pytest.raises(UserError, match="failed"):
            list(executors.run_on_ray([training]))
        assert not (tmp_path / "bad").exists()
    finally:
        ray.shutdown()


def test_figures_of_the_article_are_all_there():
    assert set(FIGURES) == set(range(1, 20)) - {7}
