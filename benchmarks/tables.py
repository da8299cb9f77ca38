"""Tables in Markdown."""

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns of figures stand to the right.

    Args:
        head: names of the columns.
        rows: cells, as many a row as there are columns.
    """
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(head)
    rule = ["---:" if cells and all(map(_is_figure, cells)) else "---" for cells in columns]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _is_figure(cell: str) -> bool:
    """Whether a cell begins like a figure, or says that there is none."""
    return not cell or cell.lstrip("-+* ")[:1].isdigit() or cell == "-"
