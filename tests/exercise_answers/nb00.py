"""Answers to the exercises of notebook 00."""

from fractions import Fraction

import numpy as np
import torch

from exercise_answers import Answers

ANSWERS = {
    "0.1": Answers(
        right=[3072, 3 * 1024.0, torch.zeros(3, 32, 32).numel(), torch.tensor([3072]), np.int64(3072)],
        wrong=[
            ("places", 32 * 32),
            ("added", 3 + 32 + 32),
            ("one_row", 96),
            ("axes", 3),
            ("batch", 393216),
            ("too_low", 3071),
            ("too_high", 1e6),
            ("wrong_type", (3, 32, 32)),
            ("wrong_type", "3072"),
        ],
    ),
    "0.2": Answers(
        right=[0.02, 0.32 / 16, Fraction(2, 100), np.float32(0.02), torch.tensor(0.02)],
        wrong=[
            ("five_halves", 0.01),
            ("three_halves", 0.04),
            ("once", 0.16),
            ("straight_line", 0.32 - 4 * 0.16),
            ("share", 1 / 16),
            ("grown", 5.12),
            ("twenty_layers", 0),
            ("too_high", 0.32),
            ("too_low", 0.015),
            ("nan", float("nan")),
            ("wrong_type", "half"),
        ],
    ),
}
