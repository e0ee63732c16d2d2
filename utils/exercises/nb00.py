"""The exercises of notebook 00: what an exercise is like."""

from utils.exercises.definitions import Mistake, Number

__all__ = ["EXERCISES"]

EXERCISES = {
    "0.1": Number(
        minutes=2,
        difficulty="★☆☆ easy",
        right=3072,
        tolerance=0.5,
        mistakes=[
            Mistake(
                "places", "That is how many pixels there are. How many numbers make up the colour of one?", value=1024
            ),
            Mistake(
                "added", "You added the lengths of the axes. Think of a table of 32 rows and 32 columns.", value=67
            ),
            Mistake("one_row", "That is one row of the picture, with its colours. How many rows are there?", value=96),
            Mistake(
                "axes", "That is how many axes it has, or how many colours. Asked for are all its numbers.", value=3
            ),
            Mistake("batch", "That is a whole batch of 128 pictures. Here it is one.", value=128 * 3072),
        ],
        hints=[
            "How many pixels has a picture of 32 rows and 32 columns?",
            "And each of them has a red, a green and a blue.",
            "`images[0].numel()` counts them, in a cell of its own.",
        ],
        look='the cell in the section "The pictures" that prints the shape of one picture',
        remark="So this is how a check answers. If it says something else, it names the mistake if it can, and there "
        "are hints to open one by one.",
    ),
    "0.2": Number(
        minutes=4,
        difficulty="★☆☆ easy",
        right=0.02,
        tolerance=0.0005,
        mistakes=[
            Mistake("five_halves", "You halved five times. The 0.32 are what is there *after* layer 1.", value=0.01),
            Mistake(
                "three_halves",
                "You halved three times. Which layers stand behind the first, up to the fifth?",
                value=0.04,
            ),
            Mistake("once", "That is so after layer 2. Three more follow.", value=0.16),
            Mistake(
                "straight_line",
                "You took half of the 0.32 away at every layer, as on a straight line. Each layer leaves half of what "
                "*it* gets, and that is less every time.",
                value=-0.32,
            ),
            Mistake("share", "That is the share that is left. Of how much?", value=0.0625),
            Mistake("grown", "It has grown: each layer leaves *half*.", value=0.32 * 16),
            Mistake(
                "twenty_layers",
                "That is nothing left at all. It is so after layer 20, nearly; here it is layer 5.",
                value=0.0,
            ),
        ],
        hints=[
            "What is left after layer 2? And after layer 3?",
            "How many layers are there behind the first, up to and with the fifth? So often it is halved.",
        ],
        look='the third panel of the figure in the section "The figure this course explains"',
        remark="What is multiplied again and again vanishes fast, or explodes: that is notebook 01.",
    ),
}
