"""Immediate feedback for the exercises of the notebooks.

In a notebook stand the task, the learner's attempt, and one line: `check("without-a-matrix", standardize)`. What is
right, the mistakes to expect and the hints stand in `lessons/nbNN/`, one folder a notebook. `definitions` says how an
exercise is written down, `limits` how the learner's code is run, `differences` what is said about a wrong result.
"""

from utils.exercises.checking import check, examine

__all__ = ["check", "examine"]
