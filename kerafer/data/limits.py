"""What a model can't know, because its data set doesn't show it."""

from __future__ import annotations

_UNKNOWN = (
    "The data set does not tell the ages, skin tones or sex of the people on "
    "it: for whom the model works worse can't be measured with it."
)

_FER_IMAGES = (
    "The training pictures were collected by a web image search for words of "
    "feelings. Many are posed or acted, some are no photographs of a face at "
    "all; all are gray and 48 x 48 pixels small."
)

_LIMITS = {
    "fer2013": (
        _FER_IMAGES,
        "The labels are noisy: FER2013's makers put the accuracy of people on "
        "it at 65 ± 5 %, and some pictures stand in it twice with different "
        "labels. A score on its labels is agreement with those who labelled.",
        _UNKNOWN,
    ),
    "ferplus": (
        _FER_IMAGES,
        "The labels are votes of ten people on each picture, and the people "
        "seen were not asked: a score on them is agreement with the voters.",
        _UNKNOWN,
    ),
    "kdef": (
        "The expressions are posed on request by 70 amateur actors of one "
        "place in Sweden, aged 20 to 30, without beards, moustaches or "
        "glasses, in even light: children, older people, glasses, covered "
        "faces and unposed expressions are not among them.",
        "The data set does not tell skin tones: for whom the model works worse "
        "can't be measured with it.",
    ),
    "fesr": (
        "The pictures show students in class; how the labels were made, and "
        "whether the students would agree with them, is not told.",
        _UNKNOWN,
    ),
    "synthetic": (
        "The faces are drawn. Nothing follows from scores on drawings for "
        "faces of people, of any age or skin tone: it is for trying the "
        "software.",
    ),
}


def data_limits(dataset: str) -> list[str]:
    """What is known of a data set that limits its models, a sentence each.

    Source: Goodfellow et al., "Challenges in Representation Learning", ICONIP
    2013 (FER2013); Barsoum et al., 2016 (FER+); Lundqvist, Flykt and Öhman,
    "The Karolinska Directed Emotional Faces", 1998 (KDEF).

    Args:
        dataset: Its name, such as `"fer2013"`.
    """
    return list(
        _LIMITS.get(
            dataset,
            (
                "Who is on the pictures, posed or not, of which ages and skin "
                "tones, and who labelled them, is known to those who made "
                "the folder; the package looked at none of it.",
            ),
        )
    )
