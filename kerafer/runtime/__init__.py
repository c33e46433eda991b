"""Expressions from images and videos, without TensorFlow.

    import kerafer

    for box, label, probabilities in kerafer.predict("people.jpg"):
        print(box, label, probabilities[label])

and with a model that is kept from image to image:

    recognizer = kerafer.Recognizer("model.tflite", threads=2)
    faces = recognizer.predict("people.jpg")

TensorFlow is loaded only for `.keras` files, SavedModels and `MtcnnDetector`.
"""

from kerafer.faces.detector import Face, FaceDetector, WholeImageDetector
from kerafer.faces.detectors import DETECTORS, make_detector
from kerafer.faces.mtcnn import MtcnnDetector, MtcnnOpencvDetector
from kerafer.faces.yunet import YunetDetector
from kerafer.runtime.annotate import annotate
from kerafer.runtime.predict import predict
from kerafer.runtime.recognizer import Recognizer
from kerafer.runtime.results import FacePrediction, Faces, Prediction
from kerafer.runtime.tracker import FaceTracker, TrackedFace

__all__ = [
    "DETECTORS",
    "Face",
    "FaceDetector",
    "FacePrediction",
    "FaceTracker",
    "Faces",
    "MtcnnDetector",
    "MtcnnOpencvDetector",
    "Prediction",
    "Recognizer",
    "TrackedFace",
    "WholeImageDetector",
    "YunetDetector",
    "annotate",
    "make_detector",
    "predict",
]
