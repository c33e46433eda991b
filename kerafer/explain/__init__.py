"""Where a model looks, and what its wavelets learned."""

from kerafer.explain.channels import channel_weights, plot_channels
from kerafer.explain.explanation import METHODS, Explanation, explain
from kerafer.explain.grad_cam import grad_cam
from kerafer.explain.occlusion import occlusion_map
from kerafer.explain.sheet import cam_sheet, overlay, plot_sheet
from kerafer.explain.wavelets import plot_wavelets, wavelet_table

__all__ = [
    "METHODS",
    "Explanation",
    "cam_sheet",
    "channel_weights",
    "explain",
    "grad_cam",
    "occlusion_map",
    "overlay",
    "plot_channels",
    "plot_sheet",
    "plot_wavelets",
    "wavelet_table",
]
