"""Figures of a comparison as text for people; used by the terminal and by the HTML page."""

import math

from green_edge.evaluate.layers import MOST_DB

_NAME_CHARS = 34


def short_name(name: str, most: int = _NAME_CHARS) -> str:
    """The telling end of a tensor's name.

    Converters join the names of all operations that they fused by `;`, each with its scopes.
    """
    first = name.partition(";")[0]
    parts = [part for part in first.split("/") if part]
    short = "/".join(parts[-2:]) or first
    return short if len(short) <= most else ".." + short[-(most - 2) :]


def error_percent(sqnr_db: float) -> float:
    """Root-mean-square error in percent of the root-mean-square signal."""
    return 100.0 * math.pow(10.0, -sqnr_db / 20)


def decibel(sqnr_db: float) -> str:
    """A ratio such as `31.4`; `none` where there is no error."""
    return "none" if sqnr_db >= MOST_DB else f"{round(sqnr_db, 1) + 0.0:.1f}"


def harm(sqnr_db: float) -> str:
    """A ratio as an error such as `1.6 %`; `none` where there is none."""
    return "none" if sqnr_db >= MOST_DB else f"{error_percent(sqnr_db):.2g} %"
