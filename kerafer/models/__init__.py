"""All models, by name."""

from kerafer.models.cnn import cnn
from kerafer.models.load import load_model
from kerafer.models.mcnn import mcnn
from kerafer.models.msc_resnet18 import msc_resnet18
from kerafer.models.msc_wca_resnet18 import msc_wca_resnet18
from kerafer.models.registry import create_model, list_models, register_model
from kerafer.models.resnet18 import resnet18
from kerafer.models.wca_cnn import wca_cnn
from kerafer.models.wca_mcnn import wca_mcnn
from kerafer.models.wca_resnet18 import wca_resnet18
from kerafer.models.wse_mcnn import wse_mcnn

__all__ = [
    "cnn",
    "create_model",
    "list_models",
    "load_model",
    "mcnn",
    "msc_resnet18",
    "msc_wca_resnet18",
    "register_model",
    "resnet18",
    "wca_cnn",
    "wca_mcnn",
    "wca_resnet18",
    "wse_mcnn",
]
