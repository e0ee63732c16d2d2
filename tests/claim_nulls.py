"""How often a rule lets an effect pass that is not there: measured on recorded runs, dealt out anew."""

from dataclasses import replace

import numpy as np

from utils.claims.estimates import Arms, estimate, paired
from utils.claims.verdicts import HOLDS, of_interval
from utils.claims.words import VALUES, Estimand

__all__ = ["null_rate"]

ROUNDING = 1e-9  # runs that are all alike lie on the edge itself, to rounding


def null_rate(estimand: Estimand, arms: Arms, draws: int = 1000, seed: int = 0) -> float:
    """The share of draws in which an estimand holds though the effect is its null.

    Each arm is moved to a common mean. In each draw every arm gets runs out of all of them, and the pictures are drawn
    anew, both with replacement (of an arm alone the signs are drawn as well). The first arm is moved by the null: no
    effect, or, where the claim is that arms differ by less than so much, exactly so much.

    Args:
        estimand: of a measured claim.
        arms: name → (S,) or (S, P), as recorded.
        draws: how many.
        seed: of the draws.

    Raises:
        ValueError: the estimand is no comparison of runs; or as `estimate`.
    """
    if estimand.scale in VALUES:
        raise ValueError(f"{estimand.name} compares no runs: it has no null")
    random = np.random.default_rng(seed)
    if estimand.paired:
        arms = {"effect": paired(arms, estimand.arms)}
        estimand = replace(estimand, arms={"effect": 1.0}, paired=False)
    weights = estimand.arms
    estimate(arms, weights, estimand.scale)  # its checks
    rows = [np.asarray(arms[name], dtype=float) for name in weights]
    if estimand.scale == "failures":
        rows = [(~np.isfinite(row) | (row == 1)).astype(float) for row in rows]
        alone = len(rows) == 1  # then the null is a share, and nothing is to be exchanged
        return _rate(random, estimand, rows, draws,
                     lambda dealt: [random.random(len(dealt[0])) < estimand.null] if alone else dealt)  # fmt: skip
    if estimand.scale == "ratio":
        rows = [np.log(row.reshape(len(row), -1).mean(1)) for row in rows]
    if len({row.shape[1:] for row in rows}) > 1:
        rows = [row.reshape(len(row), -1).mean(1) for row in rows]
    centred = [row - row.mean() for row in rows]
    null = np.log(estimand.null) if estimand.scale == "ratio" else estimand.null
    edges = [np.log(edge) if estimand.scale == "ratio" and edge > 0 else edge for edge in estimand.holds]
    first = next(iter(weights.values()))

    def moved(dealt: list[np.ndarray]) -> list[np.ndarray]:
        effect = null if not edges[0] <= null <= edges[1] else edges[random.integers(2)]
        dealt = [dealt[0] + effect / first, *dealt[1:]]
        return [np.exp(row) for row in dealt] if estimand.scale == "ratio" else dealt

    return _rate(random, estimand, centred, draws, moved)


def _rate(random, estimand: Estimand, rows: list[np.ndarray], draws: int, moved) -> float:
    pool, sizes, passed = np.concatenate(rows), [len(row) for row in rows], 0
    for _ in range(draws):
        dealt = [pool[random.integers(len(pool), size=size)] for size in sizes]
        if len(rows) == 1:
            dealt = [dealt[0] * random.choice([-1, 1], size=(sizes[0], *[1] * (pool.ndim - 1)))]
        if pool.ndim == 2:
            pictures = random.integers(pool.shape[1], size=pool.shape[1])
            dealt = [row[:, pictures] for row in dealt]
        found = estimate(dict(zip(estimand.arms, moved(dealt), strict=True)), estimand.arms, estimand.scale)
        passed += of_interval((found.low - ROUNDING, found.high + ROUNDING), estimand.holds) == HOLDS
    return passed / draws
