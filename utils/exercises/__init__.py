"""Immediate feedback for the exercises of the notebooks.

In a notebook stand the task, the learner's attempt, and one line: `check("2.3", standardize)`. What is right, the
mistakes to expect and the hints stand here, in one module a notebook: `nb02` for notebook 02. `definitions` says how
an exercise is written down, `limits` how the learner's code is run, `differences` what is said about a wrong result.
"""

from utils.exercises.checking import check, examine

__all__ = ["check", "examine"]
