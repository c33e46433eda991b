"""What to tell somebody who does not have a data set yet."""

from __future__ import annotations

from kerafer.errors import ConfigError

_ABOUT = {
    "kdef": (
        "KDEF is 4,900 photographs of 70 people with seven expressions",
        "It is free for non-commercial research: ask for it at "
        "https://kdef.se (or https://emotionlab.se)",
    ),
    "fesr": (
        "FESR is 6,809 pictures of students in class with five expressions",
        "Get it from https://www.kaggle.com/datasets/daniellam2000/"
        "facial-expression-of-students-in-real-class-fesr, or let\n"
        "kerafer fetch it: pip install 'kerafer[fesr]', then `download`",
    ),
    "fer2013": (
        "FER2013 is 35,887 gray 48 x 48 faces with seven expressions",
        "Get it from https://www.kaggle.com/datasets/msambare/fer2013 "
        "(folders)\nor https://www.kaggle.com/c/challenges-in-representation-"
        "learning-facial-expression-recognition-challenge (CSV)",
    ),
    "ferplus": (
        "FER+ is the votes of ten people on each of FER2013's faces",
        "Get FER2013 and https://github.com/microsoft/FERPlus, whose script "
        "makes the\nfolders FER2013Train, FER2013Valid and FER2013Test; put "
        "fer2013new.csv beside them",
    ),
    "folder": (
        "The data set `folder` is pictures of your own",
        "Sort them as <class>/* or <split>/<class>/*, or list them in a "
        "manifest.csv with the columns path and label",
    ),
}


def missing(name: str, looked: str) -> ConfigError:
    """The error for a data set of which no picture was found.

    Args:
        name: Registry name, such as `"kdef"`.
        looked: What was looked at and found wanting, one clause.
    """
    what, where = _ABOUT[name]
    return ConfigError(
        f"{what}; {looked}.\n{where}.\n"
        f"Unpack it to data/{name}, or say where it is with `data_dir` or "
        "KERAFER_DATA.\n"
        "To run now, on the set that is built in:\n"
        "  kerafer train --arch wca_mcnn --dataset synthetic --image-size 48 "
        "--epochs 3 --warmup-epochs 1 --schedule cosine "
        "--learning-rate 3e-4 --augment none"
    )
