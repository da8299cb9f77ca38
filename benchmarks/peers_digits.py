"""Peers on scikit-learn's handwritten digits: the network of models/digits.

Trains it with models/digits/train.py, five folds, where the cache does not hold it.
"""

from collections.abc import Mapping
from typing import Any

from benchmarks.peers import comparison, methods, subjects

NEEDS: tuple[str, ...] = ()


def measure() -> dict[str, Any]:
    """Train what the cache does not hold, build, judge and count."""
    return comparison.compare(subjects.digits(), methods.peers())


def markdown(figures: Mapping[str, Any]) -> str:
    """One row a peer."""
    return comparison.markdown(figures)
