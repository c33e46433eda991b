"""All models, by name."""

from kerafer.models.alexnet import cnn, mcnn, wca_cnn, wca_mcnn, wse_mcnn
from kerafer.models.cder_net import cder_net
from kerafer.models.ddamfn import ddamfn
from kerafer.models.fuse import fuse
from kerafer.models.kerafer_edge import kerafer_edge
from kerafer.models.load import load_model
from kerafer.models.ma_net import ma_net
from kerafer.models.mlcl_net import mlcl_net
from kerafer.models.registry import create_model, list_models, register_model
from kerafer.models.res_emote_net import res_emote_net
from kerafer.models.resnet18 import (
    msc_resnet18,
    msc_wca_resnet18,
    resnet18,
    wca_resnet18,
)

__all__ = [
    "cder_net",
    "cnn",
    "create_model",
    "ddamfn",
    "fuse",
    "kerafer_edge",
    "list_models",
    "load_model",
    "ma_net",
    "mcnn",
    "mlcl_net",
    "msc_resnet18",
    "msc_wca_resnet18",
    "register_model",
    "res_emote_net",
    "resnet18",
    "wca_cnn",
    "wca_mcnn",
    "wca_resnet18",
    "wse_mcnn",
]
