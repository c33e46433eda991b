"""A trained model as files for other machines."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerafer.console import console
from kerafer.datasets.synthetic.dataset import draw_golden_images
from kerafer.errors import ConfigError, UserError, first_line
from kerafer.evaluation import score
from kerafer.evaluation.external_test import ExternalTest
from kerafer.evaluation.predictions import checked_probabilities
from kerafer.export.config import FILES, ExportConfig
from kerafer.export.converter import QUANTIZED, Converter
from kerafer.export.gates import missed_gate
from kerafer.export.inference import (
    ImageInput,
    Inference,
    inference,
    keras_answers,
    save,
)
from kerafer.export.metadata import LABELS, NAME, metadata, with_labels
from kerafer.export.model_card import model_card
from kerafer.export.onnx import OPSET, onnx_bytes
from kerafer.export.tflite import tflite
from kerafer.export.verify import (
    Answers,
    Reference,
    Verified,
    answer,
    verify,
)
from kerafer.files import digest, remove, replace_folder, write_text
from kerafer.inference import InputRange
from kerafer.inference.input_range import METADATA_KEY, PIXELS, UNKNOWN
from kerafer.inference.probabilities import is_probabilities
from kerafer.models.save import save_model
from kerafer.untrusted import read_json
from kerafer.versions import versions

MANIFEST = "manifest.json"
GOLDEN = "golden.npz"
# The first of these that an export has is the one whose scores are told.
_SCORED = ("int8", "float16", "float32", "dynamic", *FILES)


@dataclasses.dataclass(frozen=True)
class Source:
    """What is exported.

    Args:
        model: The trained model, in float32.
        given: What the files take.
        facts: `architecture`, `run`, `sha256` of the model's file, `data`,
            `licence`, `derived_from` (models that it was trained from),
            `faces`, `split`, `notes` and `limits`, for the manifest.
        calibration: Training images as the files take them; none for formats
            of floats alone.
        reference: The test images with the model's answers.
        face_margin: As `kerafer.datasets.specs.face_margin` tells it.
        external_test: Images of another kind to test on. Default: none.
        vote_temperature: Of `ModelSource.vote_temperature`. Default: none.
    """

    model: keras.Model
    given: ImageInput
    facts: dict[str, Any]
    calibration: np.ndarray
    reference: Reference
    face_margin: float | None
    external_test: ExternalTest | None = None
    vote_temperature: float | None = None


def export(
    source: Source,
    out: Path,
    config: ExportConfig,
    converter: Converter | None = None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Write, verify and hand out the formats of a configuration.

    Everything is made in a folder beside `out`, which takes its place when all
    is well. Formats that `out` holds from an earlier export of the same model
    stay. One file's scores are told at length: of int8 where there is one.

    Args:
        source: The model and its images.
        out: The folder.
        config: What to write and the gates.
        converter: For several exports, whose process starts once. Defaults to
            one of its own.

    Returns:
        The manifest, and for every file that was left out, because it missed
        its gate or could not be made, the sentence that says so.

    Raises:
        UserError: Where `out` holds something else.
    """
    # What a link names is replaced, not the link.
    out = out.resolve()
    taken = input_range(source.given, config)
    golden = golden_images(source.given, taken)
    names = source.reference.names
    files, left_out, answers, tested = {}, {}, {}, {}
    given = contextlib.nullcontext(converter) if converter else Converter()
    with replace_folder(out) as folder, given as converter:
        earlier = earlier_export(out, source.facts["sha256"])
        traced = _Traced(source)
        for kind in config.chosen:
            path = folder / FILES[kind]
            console.print(f"{path.name} ...")
            try:
                facts = _write(kind, path, traced, converter, taken)
                found = answer(
                    path, source.reference.images, config.threads, names
                )
            # A converter may fail in any way; the others have their turn.
            except Exception as error:
                reason = str(error)
                if not isinstance(error, UserError):
                    reason = f"{type(error).__name__}: {first_line(error)}"
                left_out[path.name] = f"can't be made. {reason}"
                console.print(f"  {reason}", style="bold red")
                remove(path)
                continue
            verified = verify(path, found, source.reference)
            missed = missed_gate(kind, verified, config)
            _tell(path.name, verified, missed)
            if missed and not config.ignore_gates:
                left_out[path.name] = f"{missed}. `ignore_gates` keeps it."
                remove(path)
                continue
            tested[path.name] = found
            answers[path.name] = answer(path, golden, config.threads, names)
            files[path.name] = {
                "format": kind,
                "sha256": digest(path),
                **facts,
                **dataclasses.asdict(verified),
                "missed_gate": missed,
            }
        manifest = _manifest(source, config, files)
        if not files:
            return manifest, left_out
        for name in _keep(earlier, out, folder, left_out, manifest["files"]):
            answers[name] = answer(folder / name, golden, config.threads, names)
        manifest["scores"] = _scores(
            folder,
            source,
            config=config,
            files=manifest["files"],
            tested=tested,
            earlier=earlier,
        )
        _write_beside(folder, source, golden, answers, manifest)
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
        manifest = read_json(out / MANIFEST)
    known = manifest.get("source")
    if not isinstance(known, dict) or known.get("sha256") != sha256:
        raise UserError(
            "An export goes to a new or empty folder, or to an earlier export "
            f"of the same model. There is something else in {out}."
        )
    return manifest


class _Traced:
    """The graphs of a model, each made when it is first needed."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._made: dict[tuple, Inference] = {}

    def get(
        self, batch: int | None, kind: str, integer: bool = False
    ) -> Inference:
        key = (batch, kind, integer)
        if key not in self._made:
            model, given = self.source.model, self.source.given
            # One at a time: each holds all weights.
            self._made = {key: inference(model, given, *key)}
        return self._made[key]


def input_range(given: ImageInput, config: ExportConfig) -> InputRange | None:
    """The values that the files take; `None` if not known."""
    if given.kind == "uint8":
        return PIXELS
    stated = config.input_range
    return None if stated is None else InputRange.parse(stated)


def _write(
    kind: str,
    path: Path,
    traced: _Traced,
    converter: Converter,
    taken: InputRange | None,
) -> dict[str, Any]:
    """Write one format; returns what the manifest should say of it."""
    source = traced.source
    if kind == "keras":
        save_model(source.model, path)
        return {}
    if kind == "savedmodel":
        save(traced.get(None, source.given.kind), str(path))
        if source.given.kind == "float32":
            note = path / "assets.extra" / METADATA_KEY
            note.parent.mkdir()
            note.write_text(str(taken or UNKNOWN), encoding="utf-8")
        return {}
    if kind == "onnx":
        made = traced.get(None, "float32")
        path.write_bytes(onnx_bytes(made, str(taken or UNKNOWN)))
        return {"opset": OPSET}
    quantized, images = kind in QUANTIZED, source.calibration
    if quantized and not len(images):
        raise ConfigError(
            "The ranges of 8 bits are those of images that the model was made "
            "for. There are none: give `images`."
        )
    # The converter takes the ranges of floats alone, also of bytes.
    form = "float32" if quantized else source.given.kind
    made = traced.get(1, form, quantized)
    floats = kind == "int8" and source.given.kind == "float32"
    file = tflite(converter, made, kind, images, floats)
    names = source.reference.class_names
    block = metadata(
        source.facts["architecture"],
        f"Facial expressions: {', '.join(names)}." if names else "",
        class_names=names or (),
        outputs=source.reference.names,
        channels=source.given.shape[2],
        input_range=taken,
    )
    file.add_metadata(NAME, block)
    content = file.content()
    path.write_bytes(with_labels(content, names) if names else content)
    return {}


def _scores(
    folder: Path,
    source: Source,
    config: ExportConfig,
    files: dict[str, Any],
    tested: dict[str, Answers],
    earlier: dict[str, Any],
) -> dict[str, Any] | None:
    """What the model card tells of one of the files; `None` without labels."""
    reference = source.reference
    labels, names = reference.labels, reference.class_names
    if labels is None or names is None:
        return None
    name = next(FILES[kind] for kind in _SCORED if FILES[kind] in files)
    path = folder / name
    found = tested.get(name)
    if found is None:
        found = answer(path, reference.images, config.threads, reference.names)
    other = None
    if source.external_test is not None:
        console.print(f"{name} on the other images ...")
        said = answer(path, source.external_test.images, config.threads)
        other = source.external_test.measure(said.probabilities, names)
    else:
        other = _measured_before(earlier, name, files[name]["sha256"])
    return {
        "file": name,
        "test": score(
            labels,
            checked_probabilities(found.probabilities, os.fspath(path)),
            names,
            reference.subjects,
        ).as_dict(),
        "external_test": other,
    }


def _measured_before(
    earlier: dict[str, Any], name: str, sha256: str
) -> dict[str, Any] | None:
    """What an earlier export found of the same file on other images."""
    same = earlier.get("files", {}).get(name, {}).get("sha256") == sha256
    # There are none where the images had no labels.
    scores = earlier.get("scores") or {}
    if not same or scores.get("file") != name:
        return None
    return scores["external_test"]


def _manifest(
    source: Source,
    config: ExportConfig,
    files: dict[str, Any],
) -> dict[str, Any]:
    given, reference = source.given, source.reference
    accuracy, macro_f1 = source.reference.scores
    found = versions()
    for package in ("ai-edge-litert", "onnx", "onnxruntime"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return {
        "source": source.facts,
        "labels": list(reference.class_names or ()),
        "input": {
            "shape": [1, *given.shape],
            "kind": given.kind,
            "range": str(input_range(given, config) or UNKNOWN),
            "note": _note(given),
            "face_margin": source.face_margin,
        },
        "outputs": list(reference.names),
        "output": "probabilities; uint8 in int8.tflite, where 256 would be 1"
        if is_probabilities(reference.probabilities)
        else "numbers; in int8.tflite in the steps of its output's scale",
        **(
            {"votes": {"temperature": source.vote_temperature}}
            if source.vote_temperature
            else {}
        ),
        "calibration": {
            "n_images": len(source.calibration),
            "seed": config.seed,
        },
        "test": {
            "n_images": len(reference.images),
            "labelled": reference.labels is not None,
            "keras_accuracy": accuracy,
            "keras_macro_f1": macro_f1,
        },
        "threads": config.threads,
        "versions": found,
        "files": files,
    }


def _note(given: ImageInput) -> str:
    if given.kind == "float32":
        return (
            "numbers in the range that the model was trained with: nothing is "
            "scaled inside"
        )
    gray = "RGB is made gray inside (model.keras takes gray); "
    return (gray if given.to_gray else "") + (
        "scaling is inside; model.onnx takes these values in float32, "
        "saved_model any number of images"
    )


def golden_images(
    given: ImageInput, taken: InputRange | None = None
) -> np.ndarray:
    """Synthetic faces as the files take them."""
    drawn = draw_golden_images(given.shape)
    if given.kind == "uint8":
        return drawn
    # -1 to 1 is what most models of floats take.
    taken = taken or InputRange.parse("-1..1")
    return taken.apply(drawn).astype(np.float32)


def _tell(name: str, verified: Verified, missed: str | None) -> None:
    words = [f"{verified.bytes / 1e6:.1f} MB"]
    if verified.accuracy is not None:
        words.append(f"accuracy {verified.accuracy:.3f}")
    if verified.agreement is not None:
        words.append(f"same class as Keras {verified.agreement:.1%}")
    words.append(f"largest difference {verified.largest_difference:.2g}")
    words.append(f"{verified.milliseconds:.2f} ms")
    console.print(f"  {', '.join(words)}")
    if missed:
        console.print(f"  {name} {missed}", style="bold red")


def _keep(
    earlier: dict[str, Any],
    out: Path,
    folder: Path,
    left_out: dict[str, str],
    files: dict[str, Any],
) -> list[str]:
    """Take over what an earlier export made and this one does not replace."""
    kept = set(earlier.get("files", {})) - {*files, *left_out}
    # Whoever wrote that manifest may have named other places.
    names = [name for name in FILES.values() if name in kept]
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
    # Of several outputs the first stands for all.
    expected, *_ = keras_answers(source.model, source.given, golden).values()
    arrays: dict[str, Any] = {"images": golden, "keras": expected}
    for name, given in answers.items():
        arrays[name] = given.probabilities
    np.savez_compressed(folder / GOLDEN, **arrays)
    if names:
        text = "\n".join(names) + "\n"
        (folder / LABELS).write_text(text, encoding="utf-8")
    manifest["files"] = {
        name: manifest["files"][name]
        for name in FILES.values()
        if name in manifest["files"]
    }
    text = json.dumps(manifest, indent=2) + "\n"
    write_text(folder / MANIFEST, text)
    card = model_card(manifest)
    write_text(folder / "MODEL_CARD.md", card)
