"""Expressions from pictures and videos, without TensorFlow.

    import kerafer

    for box, label, probabilities in kerafer.predict("people.jpg"):
        print(box, label, probabilities[label])

and with a model that is kept from picture to picture:

    recognizer = kerafer.Recognizer("model.tflite", threads=2)
    faces = recognizer.predict_faces("people.jpg")

which is `EmotionRecognizer` here. TensorFlow is loaded for a `.keras` file, a
SavedModel and `MtcnnDetector`.
"""

from kerafer.runtime.annotate import annotate
from kerafer.runtime.detectors import DETECTORS, make_detector
from kerafer.runtime.emotion_recognizer import EmotionRecognizer
from kerafer.runtime.face_detector import Face, FaceDetector
from kerafer.runtime.face_tracker import FaceTracker, TrackedFace
from kerafer.runtime.mtcnn_detector import MtcnnDetector
from kerafer.runtime.mtcnn_opencv_detector import MtcnnOpencvDetector
from kerafer.runtime.predict import predict
from kerafer.runtime.prediction import FacePrediction, Faces, Prediction
from kerafer.runtime.shipped import shipped_model
from kerafer.runtime.whole_picture_detector import WholePictureDetector
from kerafer.runtime.yunet_detector import YunetDetector

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
    "WholePictureDetector",
    "YunetDetector",
    "annotate",
    "make_detector",
    "predict",
    "shipped_model",
]
