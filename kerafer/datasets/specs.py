"""The data sets that a command can name."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kerafer.errors import ConfigError
from kerafer.faces import MARGIN

if TYPE_CHECKING:
    from kerafer.datasets.dataset import Dataset

_UNKNOWN = (
    "The data set does not tell the ages, skin tones or sex of the people on "
    "it: for whom the model works worse can't be measured with it."
)

_FER_IMAGES = (
    "The training images were collected by a web image search for words of "
    "feelings. Many are posed or acted, some are no photographs of a face at "
    "all; all are gray and 48 x 48 pixels small."
)


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """Facts about a data set.

    Args:
        name: Such as `"kdef"`.
        reader: The function that lists it, `module:function`.
        source: Origin of its images, one line.
        licence: The terms they come under, one line.
        about: Its contents, one clause.
        get: How to get it.
        limits: Known limits of its models, a sentence each.
        margin: See `Dataset.margin`.
        split: The default split. `None`: see `make_split`.
    """

    name: str
    reader: str
    source: str
    licence: str
    about: str
    get: str
    limits: tuple[str, ...]
    margin: float | None = None
    split: str | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """Arguments of `Dataset` that are the same for all copies."""
        return {
            "name": self.name,
            "source": self.source,
            "licence": self.licence,
            "margin": self.margin,
        }

    def load_reader(self) -> Callable[..., Dataset]:
        """Import the reader."""
        module, _, function = self.reader.partition(":")
        return getattr(importlib.import_module(module), function)

    def missing(self, looked: str) -> ConfigError:
        """Return the error for a set that is not where it `looked` for it."""
        return ConfigError(
            f"{self.about}; {looked}.\n{self.get}.\n"
            f"Unpack it to data/{self.name}, or set `data_dir` or "
            "KERAFER_DATA.\n"
            "For a one-minute example with synthetic faces:\n"
            "  kerafer train --dataset synthetic --subjects 40 --arch "
            "kerafer_edge --init-from kerafer_edge_ferplus --image-size 48 "
            "--channels 1 --epochs 3 --learning-rate 1e-3"
        )


KDEF = DatasetSpec(
    name="kdef",
    reader="kerafer.datasets.kdef:read_kdef",
    source="Karolinska Directed Emotional Faces (Lundqvist, Flykt & Oehman "
    "1998), https://kdef.se",
    licence="For non-commercial research, asked for at https://kdef.se; not to "
    "be passed on",
    about="KDEF is 4,900 photographs of 70 people with seven expressions",
    get="It is free for non-commercial research: ask for it at "
    "https://kdef.se (or https://emotionlab.se)",
    limits=(
        "The expressions are posed on request by 70 amateur actors of one "
        "place in Sweden, aged 20 to 30, without beards, moustaches or "
        "glasses, in even light: children, older people, glasses, covered "
        "faces and unposed expressions are not among them.",
        "The data set does not tell skin tones: for whom the model works worse "
        "can't be measured with it.",
    ),
    # The article's.
    split="paper",
)
_FESR_PAGE = (
    "https://www.kaggle.com/datasets/daniellam2000/"
    "facial-expression-of-students-in-real-class-fesr"
)
FESR = DatasetSpec(
    name="fesr",
    reader="kerafer.datasets.folder:read_fesr",
    source=f"FESR, {_FESR_PAGE}",
    licence="See the terms on its Kaggle page; the images show students",
    about="FESR is 6,809 images of students in class with five expressions",
    get=f"Get it from {_FESR_PAGE}, or with\nkagglehub.dataset_download()",
    limits=(
        "The images show students in class; how the labels were made, and "
        "whether the students would agree with them, is not told.",
        _UNKNOWN,
    ),
)
FER2013 = DatasetSpec(
    name="fer2013",
    reader="kerafer.datasets.fer2013:read_fer2013",
    source="FER2013 (Goodfellow et al. 2013), "
    "https://www.kaggle.com/datasets/msambare/fer2013",
    licence="Research use; the rights in the single images were never cleared",
    about="FER2013 is 35,887 gray 48 x 48 faces with seven expressions",
    get="Get it from https://www.kaggle.com/datasets/msambare/fer2013 "
    "(folders)\nor https://www.kaggle.com/c/challenges-in-representation-"
    "learning-facial-expression-recognition-challenge (CSV)",
    limits=(
        _FER_IMAGES,
        "The labels are noisy: FER2013's makers put the accuracy of people on "
        "it at 65 ± 5 %, and some images stand in it twice with different "
        "labels. A score on its labels is agreement with those who labelled.",
        _UNKNOWN,
    ),
    margin=0.0,
)
FERPLUS = DatasetSpec(
    name="ferplus",
    reader="kerafer.datasets.fer2013:read_ferplus",
    source="FER+ (Barsoum et al. 2016), "
    "https://github.com/microsoft/FERPlus, on FER2013's images",
    licence="Votes: MIT; images: research use, the rights in the single ones "
    "were never cleared",
    about="FER+ is the votes of ten people on each of FER2013's faces",
    get="Get FER2013 and https://github.com/microsoft/FERPlus, whose script "
    "makes the\nfolders FER2013Train, FER2013Valid and FER2013Test; put "
    "fer2013new.csv beside them",
    limits=(
        _FER_IMAGES,
        "The labels are votes of ten people on each image, and the people "
        "seen were not asked: a score on them is agreement with the voters.",
        _UNKNOWN,
    ),
    margin=0.0,
)
CKPLUS = DatasetSpec(
    name="ckplus",
    reader="kerafer.datasets.ckplus:read_ckplus",
    source="Extended Cohn-Kanade (CK+; Lucey et al. 2010)",
    licence="For non-commercial research under the database's agreement; not "
    "to be passed on",
    about="CK+ is 327 labelled sequences of 118 people with seven expressions",
    get="Ask the Affect Analysis Group of the University of Pittsburgh for it",
    limits=(
        "The expressions are posed in a laboratory, by adults of one region "
        "of the United States, in even light; each sequence gives three "
        "almost equal images.",
        _UNKNOWN,
    ),
    split="subject",
)
FOLDER = DatasetSpec(
    name="folder",
    reader="kerafer.datasets.folder:read_folder",
    source="a folder of images",
    licence="That of your own images",
    about="The data set `folder` is images of your own",
    get="Sort them as <class>/* or <split>/<class>/*, or list them in a "
    "manifest.csv with the columns path and label",
    limits=(
        "Who is on the images, posed or not, of which ages and skin tones, "
        "and who labelled them, is known to those who made the folder; the "
        "package looked at none of it.",
    ),
)
SYNTHETIC = DatasetSpec(
    name="synthetic",
    reader="kerafer.datasets.synthetic:load_synthetic",
    source="drawn by kerafer",
    licence="Apache-2.0",
    about="The data set `synthetic` is drawn here",
    get="It needs nothing",
    limits=(
        "The faces are drawn. Nothing follows from scores on drawings for "
        "faces of people, of any age or skin tone: it is for trying the "
        "software.",
    ),
    split="subject",
)

SPECS = {
    spec.name: spec
    for spec in (KDEF, FESR, FER2013, FERPLUS, CKPLUS, FOLDER, SYNTHETIC)
}
DATASETS = tuple(SPECS)


def find_spec(name: str) -> DatasetSpec:
    """Return the facts about a set; other names are folders."""
    return SPECS.get(name, FOLDER)


def face_margin(
    margin: float | None, face_crop: str, cut: float | None
) -> float | None:
    """Return the crop margin that prediction must use for a model.

    Args:
        margin: `Dataset.margin` of its training images.
        face_crop, cut: `face_crop` and `face_margin` of the training.

    Returns:
        `None` if the model saw whole images that show more than a face.
    """
    if face_crop == "none":
        return margin
    return MARGIN if cut is None else cut
