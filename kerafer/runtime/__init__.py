"""Expressions from images and videos, without TensorFlow.

    import kerafer

    for box, label, probabilities in kerafer.predict("people.jpg"):
        print(box, label, probabilities[label])

and with a model that is kept from image to image:

    recognizer = kerafer.Recognizer("model.tflite", threads=2)
    faces = recognizer.predict_faces("people.jpg")

which is `EmotionRecognizer` here. TensorFlow is loaded for a `.keras` file, a
SavedModel and `MtcnnDetector`.
"""

from kerafer.faces.detector import Face, FaceDetector, WholeImageDetector
from kerafer.faces.detectors import DETECTORS, make_detector
from kerafer.faces.mtcnn import MtcnnDetector, MtcnnOpencvDetector
from kerafer.faces.yunet import YunetDetector
from kerafer.runtime.annotate import annotate
from kerafer.runtime.emotion_recognizer import EmotionRecognizer
from kerafer.runtime.face_tracker import FaceTracker, TrackedFace
from kerafer.runtime.predict import predict
from kerafer.runtime.prediction import FacePrediction, Faces, Prediction
from kerafer.runtime.shipped import shipped_model

__all__ = [
    "DETECTORS",
    "EmotionRecognizer",
    "Face",
    "FaceDetector",
    "FacePrediction",
    "FaceTracker",
    "Faces",
    "MtcnnDetector",
    "MtcnnOpencvDetector",
    "Prediction",
    "TrackedFace",
    "WholeImageDetector",
    "YunetDetector",
    "annotate",
    "make_detector",
    "predict",
    "shipped_model",
]
