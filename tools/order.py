"""In which order the notebooks are executed when several run at once: the long ones first.

The last one should be short: while it runs, the other cores have nothing to do.
"""

LONG_FIRST = ("03", "09", "06", "08", "04", "14", "07", "10", "13", "12", "11", "05")  # as measured; others come after


def long_first(folder):
    """All notebooks of a folder; one that the list above does not know comes later."""
    rank = {number: place for place, number in enumerate(LONG_FIRST)}
    return sorted(folder.glob("*.ipynb"), key=lambda path: (rank.get(path.stem[:2], len(rank)), path.name))
