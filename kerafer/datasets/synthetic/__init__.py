"""Faces drawn from facial action units, as a data set of any size."""

from kerafer.datasets.synthetic.action_units import (
    ACTION_UNITS,
    PROTOTYPES,
    draw_action_units,
)
from kerafer.datasets.synthetic.dataset import load_synthetic
from kerafer.datasets.synthetic.identity import Identity, draw_identity
from kerafer.datasets.synthetic.kdef_tree import write_kdef_tree
from kerafer.datasets.synthetic.renderer import render_face
from kerafer.datasets.synthetic.scene import Scene, draw_scene

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
