"""What a guess is pointed at on: a number line, or answers to choose from; large for the guess, small afterwards."""

from html import escape

__all__ = ["large", "small"]

LETTERS = "ABCDEFGH"
STAR = "M0-19 4.7-6.5 18.1-5.9 7.6 2.5 11.2 15.4 0 8 -11.2 15.4 -7.6 2.5 -18.1-5.9 -4.7-6.5Z"
EDGE, TOP = 60, 36  # pixels, from an end of the line to the end of its drawing, and from the top to the star
FEW = 6  # marks, up to which there are smaller ones between them
HANDLE = 8  # pixels, by which a browser keeps the handle of a slider away from its ends


def large(scale, name, half=False):
    """The scale of a question, to point at with the mouse or with the keys.

    Args:
        scale: a `tools.slide_texts.Scale`.
        name: what it is called for those who do not see it.
        half: whether another one stands beside it.
    """
    label = f'<p class="of">{escape(scale.name)}</p>' if scale.name else ""
    if scale.choice:
        buttons = "".join(
            f'<button type="button" aria-pressed="false"><b>{letter}</b><span>{escape(mark)}</span></button>'
            for letter, mark in zip(LETTERS, scale.marks, strict=False)
        )
        return f'<div class="scale choice" role="group" aria-label="{escape(name)}">{label}<div>{buttons}</div></div>'
    width = 550 if half else 1152
    place = f"left: {(EDGE - HANDLE) / width:.2%}; width: {(width - 2 * EDGE + 2 * HANDLE) / width:.2%}"
    handle = (
        f'<input type="range" min="0" max="1000" style="{place}" data-marks="{escape("|".join(scale.marks))}" '
        f'aria-label="{escape(name)}">'
    )
    return f'<div class="scale">{label}<div class="ruler">{line(scale.marks, width)}{handle}</div></div>'


def line(marks, width):
    """The drawing of a number line: its ends, its marks, and a star for the guess."""
    right, count = width - EDGE, len(marks) - 1
    at = [EDGE + (right - EDGE) * i / count for i in range(count + 1)]
    parts = count * (5 if len(marks) <= FEW and width > 1000 else 1)
    ticks = "".join(f"M{EDGE + (right - EDGE) * i / parts:.1f} 72v12" for i in range(parts + 1))
    ticks += "".join(f"M{x:.1f} 64v28" for x in at)
    words = "".join(f'<text x="{x:.1f}" y="134">{escape(mark)}</text>' for x, mark in zip(at, marks, strict=True))
    star = f'<path class="thread" d="M0 16V42"/><path d="{STAR}"/>'
    return (
        f'<svg viewBox="0 0 {width} 150" aria-hidden="true"><path class="rail" d="M{EDGE} 78H{right}"/>'
        f'<path class="ticks" d="{ticks}"/>{words}'
        f'<g class="star" data-left="{EDGE}" data-right="{right}" data-top="{TOP}">{star}</g></svg>'
    )


def small(scale, of):
    """What was guessed, in the foot of the slide that has the answer: hidden until somebody has pointed.

    Args:
        scale: a `tools.slide_texts.Scale`.
        of: the id of the slide on which one guessed.
    """
    name = f"{scale.name}: " if scale.name else ""
    if scale.choice:
        return f'<span class="guessed" data-of="{of}" hidden>★ {escape(name)}<b></b></span>'
    ends = (f"<span>{escape(mark)}</span>" for mark in (scale.marks[0], scale.marks[-1]))
    ticks = "".join(f"M{8 + 204 * i / (len(scale.marks) - 1):.1f} 12v12" for i in range(len(scale.marks)))
    star = f'<g class="star" data-left="8" data-right="212" data-top="18"><path d="{STAR}" transform="scale(.8)"/></g>'
    drawing = (
        '<svg viewBox="0 0 220 36" width="220" height="36" role="img" aria-label="The guess">'
        f'<path class="ticks" d="M8 18H212{ticks}"/>{star}</svg>'
    )
    return f'<span class="guessed" data-of="{of}" hidden>{escape(name)}{drawing.join(ends)}</span>'
