"""A claim, its estimate and interval, the computed verdict: a card, tested each time the notebook runs, and a board."""

from utils.claims.board import Board, board, collect
from utils.claims.card import VERDICTS
from utils.claims.estimates import Estimate, estimate
from utils.claims.made import Claim
from utils.claims.records import seeds
from utils.claims.scales import Pair, at_both_scales
from utils.claims.trial import ClaimError, claim

__all__ = [
    "VERDICTS",
    "Board",
    "Claim",
    "ClaimError",
    "Estimate",
    "Pair",
    "at_both_scales",
    "board",
    "claim",
    "collect",
    "estimate",
    "seeds",
]
