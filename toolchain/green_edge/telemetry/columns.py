"""Lines of text that fit a terminal of 80 columns."""

import textwrap
from collections.abc import Iterable, Sequence

from green_edge.telemetry.words import shorten

WIDTH = 80
_GAP = 2
# Below this a name is no longer told from its neighbours.
_SHORTEST = 8


def fit(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    names: tuple[int, ...],
    width: int = WIDTH,
) -> list[tuple[str, ...]]:
    """Cut names so that a table's lines fit.

    Args:
        headers: one a column.
        rows: cells; as many as headers.
        names: columns whose cells may be cut, the longest of them first.
        width: of the terminal, in characters.
    """
    widths = [max(len(cell) for cell in column) for column in zip(headers, *rows, strict=True)]
    excess = sum(widths) + _GAP * (len(headers) - 1) - width
    for _ in range(max(excess, 0)):
        longest = max(names, key=lambda column: widths[column])
        if widths[longest] <= _SHORTEST:
            break
        widths[longest] -= 1
    return [
        tuple(
            shorten(cell, widths[column]) if column in names else cell
            for column, cell in enumerate(row)
        )
        for row in rows
    ]


def wrapped(lines: Iterable[str], width: int = WIDTH) -> list[str]:
    """Lines broken between words, what follows indented."""
    return [part for line in lines for part in textwrap.wrap(line, width, subsequent_indent="    ")]
