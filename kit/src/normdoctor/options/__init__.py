"""How a layer may leave the formula: the options that are tried, the likeliest first, and the cause that each is."""

from normdoctor.options.evaluation import EVALUATION
from normdoctor.options.gradient import GRADIENT
from normdoctor.options.option import Option
from normdoctor.options.training import TRAINING

__all__ = ["EVALUATION", "GRADIENT", "TRAINING", "Option"]
