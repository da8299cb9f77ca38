"""Where benchmarks keep what is long in the making: weights, peers' models and environment."""

from pathlib import Path

from green_edge.emulate import cache_folder


def folder(name: str) -> Path:
    """A folder of that name in the user's cache, made when it is not there."""
    place = cache_folder() / "benchmarks" / name
    place.mkdir(parents=True, exist_ok=True)
    return place
