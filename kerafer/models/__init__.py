"""All models, by name."""

# Imported for the models that they register.
from kerafer.models import alexnet as alexnet
from kerafer.models import cder_net as cder_net
from kerafer.models import ddamfn as ddamfn
from kerafer.models import kerafer_edge as kerafer_edge
from kerafer.models import ma_net as ma_net
from kerafer.models import mlcl_net as mlcl_net
from kerafer.models import res_emote_net as res_emote_net
from kerafer.models import resnet18 as resnet18
from kerafer.models.load import load_model
from kerafer.models.registry import create_model, list_models, register_model

__all__ = [
    "create_model",
    "list_models",
    "load_model",
    "register_model",
]
