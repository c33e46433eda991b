"""Run by tests/clients/test_export_clients.py in MediaPipe's own environment.

python mediapipe_check.py exported/<name>/int8.tflite golden.npz

Prints a line of JSON: for each golden image the scores by label.
"""

import json
import sys

import mediapipe as mp
import numpy as np
from mediapipe.tasks import python
from mediapipe.tasks.python import vision

options = vision.ImageClassifierOptions(
    base_options=python.BaseOptions(model_asset_path=sys.argv[1]),
    max_results=-1,
)
answers = []
with vision.ImageClassifier.create_from_options(options) as classifier:
    for picture in np.load(sys.argv[2])["images"]:
        image = mp.Image(
            image_format=mp.ImageFormat.SRGB,
            data=np.ascontiguousarray(picture),
        )
        (head,) = classifier.classify(image).classifications
        answers.append(
            {one.category_name: one.score for one in head.categories}
        )
print(json.dumps(answers))
