"""Draw faces from facial action units, as a data set without files."""

from kerafer.datasets.synthetic.dataset import draw_image, load_synthetic
from kerafer.datasets.synthetic.files import write_kdef_tree

__all__ = ["draw_image", "load_synthetic", "write_kdef_tree"]
