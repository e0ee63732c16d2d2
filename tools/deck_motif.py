"""The drawing on a title: what twenty layers leave of the differences between pictures, as far as one has read.

Orange and dashed, without normalization, they run together; blue and solid, with it, they keep apart. Each notebook
shows the part up to its own place in the series: the first gives nothing away.
"""

from math import exp, sin

__all__ = ["motif"]

RIGHT, HEIGHT = 1280, 380
HALF = 74  # of the height of a band
PICTURES = (-1, -0.62, -0.3, 0.05, 0.36, 0.68, 1)
STEPS = 48


def motif(share):
    """The SVG: in full colour up to a share of its width, faintly what comes; at 0, a question mark."""
    end = RIGHT * (0.06 + 0.94 * share)
    ahead = f'<g class="ahead">{bands(end, RIGHT)}</g>' if share else '<text x="690" y="262">?</text>'
    return (
        f'<svg class="motif" viewBox="0 0 {RIGHT} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'{ahead}{bands(0, end)}<path class="here" d="M{end:.0f} 24V356"/></svg>'
    )


def bands(start, end):
    """Both bands, from one place to another."""
    without, with_ = (band(middle, start, end, falls) for middle, falls in ((108, True), (272, False)))
    return f'<g class="without">{without}</g><g class="with">{with_}</g>'


def band(middle, start, end, falls):
    """Seven lines from a place to another: side by side, or running together."""
    paths = []
    for number, offset in enumerate(PICTURES):
        points = []
        for i in range(STEPS + 1):
            x = start + (end - start) * i / STEPS
            t = x / RIGHT
            width = HALF * (exp(-3.4 * max(0, t - 0.1)) if falls else 1)
            wave = 0.13 * sin(9 * t + 2.1 * number) + 0.07 * sin(23 * t + number)
            points.append(f"{x:.1f} {middle + width * (offset * 0.86 + wave * min(1, 6 * t)):.1f}")
        paths.append(f'<path d="M{"L".join(points)}"/>')
    return "".join(paths)
