"""Figures of a comparison as text for people; used by the terminal and by the HTML page."""

import math

from green_edge.evaluate.layers import MOST_DB


def error_percent(sqnr_db: float) -> float:
    """Root-mean-square error in percent of the root-mean-square signal."""
    return 100.0 * math.pow(10.0, -sqnr_db / 20)


def decibel(sqnr_db: float) -> str:
    """A ratio such as `31.4`; `none` where there is no error."""
    return "none" if sqnr_db >= MOST_DB else f"{round(sqnr_db, 1) + 0.0:.1f}"


def harm(sqnr_db: float) -> str:
    """A ratio as an error such as `1.6 %`; `none` where there is none."""
    return "none" if sqnr_db >= MOST_DB else f"{error_percent(sqnr_db):.2g} %"
