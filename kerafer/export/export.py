"""A trained model as files for other machines."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerafer.console import console
from kerafer.errors import UserError
from kerafer.export.config import FILES, ExportConfig
from kerafer.export.gates import missed_gate
from kerafer.export.golden import golden_pictures
from kerafer.export.graph import Graph
from kerafer.export.metadata import LABELS, NAME, metadata, with_labels
from kerafer.export.model_card import model_card
from kerafer.export.onnx import OPSET, onnx_bytes
from kerafer.export.other_pictures import OtherPictures
from kerafer.export.psi_table import PsiTable
from kerafer.export.saved_model import saved_model
from kerafer.export.scores import measure_scores
from kerafer.export.stem import choose_stem
from kerafer.export.tflite import QUANTIZED, psi_table, tflite
from kerafer.export.verify import Answers, Reference, Verified, answer, verify
from kerafer.models.save import save_model
from kerafer.versions import versions

MANIFEST = "manifest.json"
GOLDEN = "golden.npz"
# The first of these that an export has is the one whose scores are told.
_SCORED = ("int8", "integer", "float16", "float32", "dynamic", *FILES)


@dataclasses.dataclass(frozen=True)
class Source:
    """What is exported.

    Args:
        model: The trained model.
        facts: `architecture`, `run`, `sha256` of the model's file, `data`,
            `licence`, `learnt` (models that it began with or learnt from),
            `faces`, `split`, `notes` and `limits`, for the manifest.
        calibration: uint8 training pictures.
        reference: The test pictures with the model's answers.
        face_margin: As `kerafer.data.face_margin.training_margin` tells it.
        other_pictures: Pictures of another kind to test on. Defaults to none.
    """

    model: keras.Model
    facts: dict[str, Any]
    calibration: np.ndarray
    reference: Reference
    face_margin: float | None
    other_pictures: OtherPictures | None = None


def export(
    source: Source, out: Path, config: ExportConfig
) -> tuple[dict[str, Any], dict[str, str]]:
    """Write, verify and hand out the formats of a configuration.

    Everything is made in a folder beside `out`, which takes its place when all
    is well. Formats that `out` holds from an earlier export of the same model
    stay. One file's scores are told at length: of int8 where there is one.

    Args:
        source: The model and its pictures.
        out: The folder.
        config: What to write and the gates.

    Returns:
        The manifest, and for every file that was left out because it missed
        its gate the sentence that says so.

    Raises:
        UserError: Where `out` holds something else, a layer has no rule for
            export, or a package for a format is missing.
    """
    # What a link names is replaced, not the link.
    out = out.resolve()
    earlier = earlier_export(out, source.facts["sha256"])
    graph = Graph(source.model)
    golden = golden_pictures(source.model.input_shape[1:])
    files, left_out, answers, tested = {}, {}, {}, {}
    with _folder_beside(out) as folder:
        for kind in config.chosen:
            path = folder / FILES[kind]
            console.print(f"{path.name} ...")
            facts = _write(kind, path, graph, source, config)
            found = answer(path, source.reference.pictures, config.threads)
            verified = verify(path, found, source.reference)
            missed = missed_gate(kind, verified, config)
            _tell(path.name, verified, missed)
            if missed and not config.allow_drop:
                left_out[path.name] = missed
                _remove(path)
                continue
            tested[path.name] = found
            answers[path.name] = answer(path, golden, config.threads)
            files[path.name] = {
                "format": kind,
                "sha256": digest(path),
                **facts,
                **dataclasses.asdict(verified),
                "missed_gate": missed,
            }
        manifest = _manifest(source, graph, config, files)
        if not files:
            return manifest, left_out
        for name in _keep(earlier, out, folder, left_out, manifest["files"]):
            answers[name] = answer(folder / name, golden, config.threads)
        manifest["scores"] = _scores(
            folder, source, config, manifest["files"], tested, earlier
        )
        _write_beside(folder, source, golden, answers, manifest)
        _take_place(folder, out)
    return manifest, left_out


def earlier_export(out: Path, sha256: str) -> dict[str, Any]:
    """The manifest of an export of the same model, or nothing.

    Raises:
        UserError: Where the folder holds anything else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return {}
    manifest = {}
    with contextlib.suppress(OSError, ValueError):
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    if manifest.get("source", {}).get("sha256") != sha256:
        raise UserError(
            "An export goes to a new or empty folder, or to an earlier export "
            f"of the same model. There is something else in {out}."
        )
    return manifest


def digest(path: Path) -> str:
    """sha256 of a file, or of a folder's files with their names."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    lines = [
        f"{digest(file)} {file.relative_to(path).as_posix()}\n"
        for file in sorted(path.rglob("*"))
        if file.is_file()
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _write(
    kind: str, path: Path, graph: Graph, source: Source, config: ExportConfig
) -> dict[str, Any]:
    """Write one format; returns what the manifest should say of it."""
    if kind == "keras":
        save_model(source.model, path)
        return {}
    if kind == "savedmodel":
        saved_model(graph, path)
        return {}
    if kind == "onnx":
        path.write_bytes(onnx_bytes(graph))
        return {"opset": OPSET}
    pictures, reference = source.calibration, source.reference
    stem = choose_stem(graph, kind, config.stem, pictures[0], config.threads)
    file = tflite(graph, kind, stem.form, pictures)
    quantized = kind in QUANTIZED
    block = metadata(
        source.facts["architecture"],
        f"Facial expressions: {', '.join(reference.class_names)}.",
        reference.class_names,
        reference.pictures.shape[-1],
        quantized,
    )
    file.add_metadata(NAME, block)
    path.write_bytes(with_labels(file.content(), reference.class_names))
    facts: dict[str, Any] = {
        "stem": stem.form,
        "stem_milliseconds": stem.milliseconds,
    }
    table = psi_table(graph) if quantized else None
    if table:
        facts["psi"] = {
            "form": f"table of 256, t from -4 to 4 in steps of {_step():.5f}",
            "largest_error": table.largest_error(),
        }
    return facts


def _step() -> float:
    return PsiTable.STEP / PsiTable.GAIN


def _scores(
    folder: Path,
    source: Source,
    config: ExportConfig,
    files: dict[str, Any],
    tested: dict[str, Answers],
    earlier: dict[str, Any],
) -> dict[str, Any]:
    """What the model card tells of one of the files."""
    name = next(FILES[kind] for kind in _SCORED if FILES[kind] in files)
    path, reference = folder / name, source.reference
    found = tested.get(name)
    if found is None:
        found = answer(path, reference.pictures, config.threads)
    names = reference.class_names
    if source.other_pictures is not None:
        console.print(f"{name} on the other pictures ...")
        other = source.other_pictures.measure(path, names, config.threads)
    else:
        other = _measured_before(earlier, name, files[name]["sha256"])
    return {
        "file": name,
        "test": measure_scores(
            reference.labels, found.probabilities, names, reference.subjects
        ),
        "other_pictures": other,
    }


def _measured_before(
    earlier: dict[str, Any], name: str, sha256: str
) -> dict[str, Any] | None:
    """What an earlier export found of the same file on other pictures."""
    same = earlier.get("files", {}).get(name, {}).get("sha256") == sha256
    scores = earlier.get("scores", {})
    if not same or scores.get("file") != name:
        return None
    return scores["other_pictures"]


def spread_rows(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Row numbers of a stratified sample, in ascending order."""
    rows = np.random.default_rng(seed).permutation(len(labels))
    rows = rows[np.argsort(labels[rows], kind="stable")]
    places = (np.arange(count) + 0.5) * len(rows) / count
    return np.sort(rows[places.astype(int)])


def _manifest(
    source: Source,
    graph: Graph,
    config: ExportConfig,
    files: dict[str, Any],
) -> dict[str, Any]:
    accuracy, macro_f1 = source.reference.scores
    found = versions()
    for package in ("ai-edge-litert", "onnx", "onnxruntime"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return {
        "source": source.facts,
        "labels": list(source.reference.class_names),
        "input": {
            "shape": [1, *graph.nodes[0].shape],
            "note": "scaling is inside; model.onnx takes these values in "
            "float32, saved_model any number of pictures",
            "scale": graph.scale,
            "offset": graph.offset,
            "face_margin": source.face_margin,
        },
        "output": "probabilities; uint8 in int8.tflite and integer.tflite, "
        "where 256 would be 1",
        "calibration": {
            "pictures": len(source.calibration),
            "seed": config.seed,
        },
        "test": {
            "pictures": len(source.reference.labels),
            "keras_accuracy": accuracy,
            "keras_macro_f1": macro_f1,
        },
        "threads": config.threads,
        "versions": found,
        "files": files,
    }


def _tell(name: str, verified: Verified, missed: str | None) -> None:
    console.print(
        f"  {verified.bytes / 1e6:.1f} MB, accuracy {verified.accuracy:.3f}, "
        f"same class as Keras {verified.agreement:.1%}, largest difference "
        f"{verified.largest_difference:.2g}, {verified.milliseconds:.2f} ms"
    )
    if missed:
        console.print(f"  {name} {missed}", style="bold red")


# === The folder ===


@contextlib.contextmanager
def _folder_beside(out: Path) -> Iterator[Path]:
    """A new folder next to `out` that is gone afterwards."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = out.with_name(f".{out.name}.{os.getpid()}.part")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep(
    earlier: dict[str, Any],
    out: Path,
    folder: Path,
    left_out: dict[str, str],
    files: dict[str, Any],
) -> list[str]:
    """Take over what an earlier export made and this one does not replace."""
    names = [
        name
        for name in earlier.get("files", {})
        if name not in files and name not in left_out
    ]
    for name in names:
        files[name] = earlier["files"][name]
        if (out / name).is_dir():
            shutil.copytree(out / name, folder / name)
        else:
            shutil.copy2(out / name, folder / name)
    return names


def _write_beside(
    folder: Path,
    source: Source,
    golden: np.ndarray,
    answers: dict[str, Answers],
    manifest: dict[str, Any],
) -> None:
    names = source.reference.class_names
    keras_answers = source.model.predict(golden, verbose=0)
    found = {name: given.probabilities for name, given in answers.items()}
    np.savez_compressed(
        folder / GOLDEN, images=golden, keras=keras_answers, **found
    )
    (folder / LABELS).write_text("\n".join(names) + "\n", encoding="utf-8")
    manifest["files"] = {
        name: manifest["files"][name]
        for name in FILES.values()
        if name in manifest["files"]
    }
    text = json.dumps(manifest, indent=2) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    card = model_card(manifest)
    (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")


def _take_place(folder: Path, out: Path) -> None:
    """Put `folder` where `out` is; `out` comes back if that fails."""
    old = out.with_name(f".{out.name}.{os.getpid()}.old")
    if out.exists():
        out.rename(old)
    try:
        folder.rename(out)
    except BaseException:
        if old.exists():
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
