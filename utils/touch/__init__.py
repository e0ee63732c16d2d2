"""Four figures to touch, plain JavaScript: in a notebook, a deck or a page, from a folder and without a network."""

from utils.touch.made import THINGS, embed, touch, touched
from utils.touch.recorded import TouchError

__all__ = ["THINGS", "TouchError", "embed", "touch", "touched"]
