"""Pictures in a grid, and one picture in two companies."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from utils.plots.showing import show
from utils.plots.style import WITH, at_step, drawing, look, subplots

__all__ = ["company", "images"]


def images(pictures: Tensor, labels: Sequence[str], *, slug: str | None = None, columns: int = 10) -> None:
    """A labelled grid of pictures.

    Args:
        pictures: uint8, (N, 3, H, W).
        labels: N names.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
        columns: pictures in a row.
    """
    if len(pictures) != len(labels):
        raise ValueError(f"each picture needs a label; given: {len(pictures)} pictures, {len(labels)} labels")
    with drawing(11):
        rows = -(-len(pictures) // columns)
        figure, axes = subplots(rows, columns, 1.7 * columns, 2.05 * rows)
        for ax in axes.flat:
            ax.axis("off")
        for ax, picture, label in zip(axes.flat, pictures, labels, strict=False):
            ax.imshow(picture.permute(1, 2, 0).numpy(), interpolation="none")  # stored as small as it is
            ax.set_title(label, fontsize=16, fontweight="normal", pad=5)
        show(figure, slug)


def company(picture: Tensor, companies: Sequence[Tensor], answers: Sequence[str], *, slug: str | None = None) -> None:
    """One picture, each time in another batch, and what the network makes of it there.

    Args:
        picture: uint8, (3, H, W).
        companies: for each batch the other pictures, uint8, (N, 3, H, W), of which the first six are drawn.
        answers: for each batch, what the network says of the one picture.
        slug: of the figure, under which `lessons/` has its alternative text; None for one of your own.
    """
    if len(companies) != len(answers):
        raise ValueError(f"each batch has an answer; given: {len(companies)} batches, {len(answers)} answers")
    with drawing(14):
        figure, axes = subplots(len(companies), 8, 14, 2.1 * len(companies), width_ratios=[1] * 7 + [1.9])
        for number, (row, others, answer) in enumerate(zip(axes, companies, answers, strict=True)):
            for ax, shown_picture in zip(row, [picture, *others[:6]], strict=False):
                ax.imshow(shown_picture.permute(1, 2, 0).numpy(), interpolation="none")
                ax.set(xticks=[], yticks=[])
                ax.grid(False)
                ax.spines[:].set_visible(ax is row[0])
            for spine in row[0].spines.values():
                spine.set(edgecolor=look(WITH).color, linewidth=5)
            row[-1].axis("off")
            said = row[-1].text(0, 0.5, f"… →  “{answer}”", va="center", fontweight="bold", color=look(WITH).color)
            said.set_gid(at_step(number + 1))
        show(figure, slug)
