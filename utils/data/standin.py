"""The stand-in for CIFAR-10: ten classes of drawn 32 x 32 colour images, the same bytes on every machine.

A class is one of five shapes in one of two textures: five shapes x two textures = ten classes. Everything else about an
image is drawn at random: where the shape is, how large, how it is turned, its colours (with a weak preference of each
class), a sky and a ground behind it, noise at several scales, a bar that hides a part of it, the light.

The same bytes everywhere: of the random generator only the raw bits are used, which never change, and of the arithmetic
only what IEEE 754 fixes to the last bit (+ - * / and square roots of float32, one operation at a time). No sine, no
matrix product, no sum over an array.
"""

from __future__ import annotations

import numpy as np

__all__ = ["CLASSES", "draw"]

SHAPES = ("disc", "square", "triangle", "cross", "ring")
TEXTURES = ("striped", "checked")
CLASSES: tuple[str, ...] = tuple(f"{shape}, {texture}" for shape in SHAPES for texture in TEXTURES)

SIDE = 32
COLOURFUL = 0.5  # 0: all grey; 1: the three channels have nothing to do with each other
CHUNK = 500  # images drawn at once: small enough for the processor's cache
F = np.float32

# Chosen so that the channels have CIFAR-10's means and standard deviations (measured after clipping to 0..255).
GAIN = (1.075, 1.051, 1.154)
OFFSET = (-0.036, -0.057, -0.138)


class _Draws:
    """Uniform random numbers from the raw bits of one generator."""

    def __init__(self, seed: int) -> None:
        self.bits = np.random.PCG64(seed)

    def uniform(self, low: float, high: float, *shape: int) -> np.ndarray:
        """float32 in [low, high)."""
        raw = self.bits.random_raw(int(np.prod(shape))) >> np.uint64(40)  # 24 bits: a float32 holds them exactly
        unit = raw.astype(F) * F(2.0**-24)
        return (unit * F(high - low) + F(low)).reshape(shape)

    def noise(self, *shape: int) -> np.ndarray:
        """float32 in (-1, 1), one byte of randomness each: enough for noise, and eight times as fast."""
        count = int(np.prod(shape))
        raw = self.bits.random_raw(-(-count // 8)).astype("<u8").view(np.uint8)[:count]
        return ((raw.astype(F) - F(127.5)) * F(1 / 128)).reshape(shape)

    def colours(self, low: float, high: float, n: int) -> np.ndarray:
        """n colours, (n, 3, 1, 1): more grey than not, as in photographs."""
        grey = self.uniform(low, high, n, 1, 1, 1)
        return grey + F(COLOURFUL) * (self.uniform(low, high, n, 3, 1, 1) - grey)


def draw(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n images, the classes in turn: uint8 (n, 3, 32, 32) and int64 (n,). A longer draw starts with the shorter one."""
    images = np.empty((n, 3, SIDE, SIDE), dtype=np.uint8)
    labels = np.arange(n) % len(CLASSES)
    draws = _Draws(seed)
    for start in range(0, n, CHUNK):
        images[start : start + CHUNK] = _draw_chunk(np.arange(start, start + CHUNK) % len(CLASSES), draws)[: n - start]
    return images, labels


def _draw_chunk(labels: np.ndarray, draws: _Draws) -> np.ndarray:
    """Images of these classes: uint8 (n, 3, 32, 32)."""
    n = len(labels)
    axis = (np.arange(SIDE, dtype=F) - F(15.5)) * F(1 / 16)
    y, x = axis[None, :, None], axis[None, None, :]  # -1 to 1, from the top left corner

    picture = _background(n, y, draws)

    # Into the coordinates of the shape: moved, turned, scaled.
    size = draws.uniform(0.6, 0.92, n, 1, 1)
    dx = x - draws.uniform(-0.23, 0.23, n, 1, 1)
    dy = y - draws.uniform(-0.23, 0.23, n, 1, 1)
    cos, sin = _turn(draws.uniform(-0.25, 0.25, n, 1, 1))
    u = (cos * dx + sin * dy) / size
    v = (cos * dy - sin * dx) / size
    distance = _distance(labels // len(TEXTURES), u, v) * size
    cover = np.clip(F(0.5) - distance * F(16), 0, 1)[:, None]  # soft over one pixel

    light, dark = _colours(labels, draws)
    texture = _texture(labels % len(TEXTURES), u * size, v * size, draws)[:, None]
    picture += cover * (dark + texture * (light - dark) - picture)

    picture = _bars(picture, y, x, draws)
    picture = _lighting(picture, y, x, draws)
    mirrored = draws.uniform(0, 1, n) < F(0.5)
    picture[mirrored] = picture[mirrored][..., ::-1]

    gain = np.array(GAIN, dtype=F)[None, :, None, None]
    offset = np.array(OFFSET, dtype=F)[None, :, None, None]
    return np.rint(np.clip(picture * gain + offset, 0, 1) * F(255)).astype(np.uint8)


def _turn(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of an angle with tangent of its half t: exact arithmetic, unlike np.cos."""
    square = t * t
    return (F(1) - square) / (F(1) + square), (t + t) / (F(1) + square)


def _distance(shape: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """How far each point is outside (above 0) or inside (below 0) the shape: (n, 32, 32)."""
    result = np.empty_like(u)
    for index in range(len(SHAPES)):
        rows = shape == index
        a, b = u[rows], v[rows]
        if index == 0:  # disc
            d = np.sqrt(a * a + b * b) - F(0.8)
        elif index == 1:  # square
            d = np.maximum(np.abs(a), np.abs(b)) - F(0.72)
        elif index == 2:  # triangle: below one side, between two others
            d = np.maximum(b - F(0.6), np.abs(a) * F(0.866) - b * F(0.5) - F(0.5))
        elif index == 3:  # cross
            p, q = np.abs(a), np.abs(b)
            d = np.minimum(np.maximum(p - F(0.9), q - F(0.3)), np.maximum(p - F(0.3), q - F(0.9)))
        else:  # ring
            d = np.abs(np.sqrt(a * a + b * b) - F(0.62)) - F(0.24)
        result[rows] = d
    return result


def _wave(t: np.ndarray) -> np.ndarray:
    """A wave of period 1 between 0 and 1, with straight flanks."""
    phase = np.abs(t - np.floor(t) - F(0.5)) * F(2)
    return np.clip((phase - F(0.5)) * F(3) + F(0.5), 0, 1)


def _texture(texture: np.ndarray, u: np.ndarray, v: np.ndarray, draws: _Draws) -> np.ndarray:
    """Stripes or checks between 0 and 1: (n, 32, 32)."""
    n = len(texture)
    rate = F(16) / draws.uniform(5.0, 8.0, n, 1, 1)  # one period is 5 to 8 pixels
    a = _wave(u * rate + draws.uniform(0, 1, n, 1, 1))
    b = _wave(v * rate + draws.uniform(0, 1, n, 1, 1))
    checks = a + b - F(2) * a * b  # one of the two, not both
    return np.where((texture == 0)[:, None, None], a, checks)


def _colours(labels: np.ndarray, draws: _Draws) -> tuple[np.ndarray, np.ndarray]:
    """The two colours of each shape, (n, 3, 1, 1) twice: mostly chance, a little of what its class prefers."""
    n = len(labels)
    preferred = _Draws(7).uniform(-0.2, 0.2, len(CLASSES), 3)[labels]
    base = draws.colours(0.15, 0.85, n) + preferred[:, :, None, None]
    contrast = draws.uniform(0.15, 0.5, n, 1, 1, 1) * np.where(draws.uniform(0, 1, n, 1, 1, 1) < F(0.5), F(1), F(-1))
    return base + contrast, base - contrast


def _background(n: int, y: np.ndarray, draws: _Draws) -> np.ndarray:
    """A sky, a ground, and noise at four scales: (n, 3, 32, 32)."""
    sky = draws.colours(0.2, 0.9, n)
    ground = draws.colours(0.1, 0.8, n)
    horizon = draws.uniform(-0.5, 0.8, n, 1, 1, 1)
    below = np.clip((y[:, None] - horizon) * draws.uniform(1.5, 16, n, 1, 1, 1) + F(0.5), 0, 1)
    picture = sky + below * (ground - sky)
    strength = draws.uniform(0.25, 0.8, n, 1, 1, 1)
    for cells, share in ((4, 0.3), (8, 0.25), (16, 0.2)):
        noise = draws.noise(n, 1, cells + 1, cells + 1) * F(0.7) + draws.noise(n, 3, cells + 1, cells + 1) * F(0.4)
        picture = picture + strength * F(share) * _enlarge(noise, SIDE // cells)
    return picture + strength * F(0.12) * draws.noise(n, 3, SIDE, SIDE)


def _enlarge(grid: np.ndarray, factor: int) -> np.ndarray:
    """Linear interpolation between the points of a grid: (n, 3, k + 1, k + 1) to (n, 3, k factor, k factor)."""
    for axis in (2, 3):
        before = np.take(grid, range(grid.shape[axis] - 1), axis)
        after = np.take(grid, range(1, grid.shape[axis]), axis)
        step = (after - before) * F(1 / factor)
        stacked = np.stack([before + step * F(i) for i in range(factor)], axis + 1)
        shape = list(before.shape)
        shape[axis] *= factor
        grid = stacked.reshape(shape)
    return grid


def _bars(picture: np.ndarray, y: np.ndarray, x: np.ndarray, draws: _Draws) -> np.ndarray:
    """Hide a part of every third image or so behind a bar."""
    n = len(picture)
    cos, sin = _turn(draws.uniform(-1, 1, n, 1, 1))
    away = np.abs(cos * x + sin * y - draws.uniform(-0.7, 0.7, n, 1, 1)) - draws.uniform(0.08, 0.22, n, 1, 1)
    there = (draws.uniform(0, 1, n, 1, 1) < F(0.35)).astype(F)
    cover = (np.clip(F(0.5) - away * F(16), 0, 1) * there)[:, None]
    return picture + cover * (draws.colours(0, 1, n) - picture)


def _lighting(picture: np.ndarray, y: np.ndarray, x: np.ndarray, draws: _Draws) -> np.ndarray:
    """Brighter on one side, brighter or darker altogether."""
    n = len(picture)
    slope_x, slope_y = draws.uniform(-0.25, 0.25, n, 1, 1), draws.uniform(-0.25, 0.25, n, 1, 1)
    light = draws.uniform(0.7, 1.3, n, 1, 1) + slope_x * x + slope_y * y
    return picture * light[:, None]
