"""Peers on Fashion-MNIST: a small ResNet of 24, 48 and 96 channels.

Needs Debian's dataset-fashion-mnist, or its files in the folder GREEN_EDGE_FASHION_MNIST.
"""

from collections.abc import Mapping
from typing import Any

from benchmarks.peers import comparison, green_edge, methods, subjects

NEEDS: tuple[str, ...] = ()


def measure() -> dict[str, Any]:
    """Train what the cache does not hold, build, judge and count."""
    name = "fashion_resnet"
    peers = (*methods.peers(), *green_edge.peers(name))
    return comparison.compare(subjects.fashion(name), peers)


def markdown(figures: Mapping[str, Any]) -> str:
    """One row a peer."""
    return comparison.markdown(figures)
