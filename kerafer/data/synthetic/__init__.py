"""Faces drawn from facial action units, as a data set of any size."""

from kerafer.data.synthetic.action_units import (
    ACTION_UNITS,
    PROTOTYPES,
    draw_action_units,
)
from kerafer.data.synthetic.dataset import load_synthetic
from kerafer.data.synthetic.identity import Identity, draw_identity
from kerafer.data.synthetic.kdef_tree import write_kdef_tree
from kerafer.data.synthetic.renderer import render_face
from kerafer.data.synthetic.scene import Scene, draw_scene

__all__ = [
    "ACTION_UNITS",
    "PROTOTYPES",
    "Identity",
    "Scene",
    "draw_action_units",
    "draw_identity",
    "draw_scene",
    "load_synthetic",
    "render_face",
    "write_kdef_tree",
]
