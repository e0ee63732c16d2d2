"""A claim, the measurement, the verdict: a card, tested each time the notebook runs, collected into a board."""

from utils.claims.board import Board, board, collect
from utils.claims.card import ORIGIN, VERDICTS, Arm, Claim
from utils.claims.trial import ClaimError, claim

__all__ = ["ORIGIN", "VERDICTS", "Arm", "Board", "Claim", "ClaimError", "board", "claim", "collect"]
