"""How well a colour stands out, as WCAG 2 defines it."""

from __future__ import annotations

import numpy as np
from matplotlib import colors


def linear(color: str) -> np.ndarray:
    """Its linear red, green and blue, (3,)."""
    v = np.array(colors.to_rgb(color))
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def contrast(color: str, ground: str) -> float:
    """From 1 to 21."""
    light, dark = sorted((linear(each) @ [0.2126, 0.7152, 0.0722] + 0.05 for each in (color, ground)), reverse=True)
    return light / dark
