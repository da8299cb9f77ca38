"""A graph in a folder: the model as Keras saves it, and what it does not know beside it."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from green_edge.compress.graph.read import of_flat
from green_edge.compress.graph.values import Graph, Tie

_MODEL, _REST = "model.keras", "graph.json"


def save(graph: Graph, folder: Path) -> None:
    """Write a graph."""
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # h5py asks TensorFlow's tensors for arrays in a way that numpy 2 does not like.
        warnings.simplefilter("ignore", DeprecationWarning)
        graph.model.save(folder / _MODEL)
    rest = {
        "origin": {name: list(places) for name, places in graph.origin.items()},
        "ties": [[tie.layer, tie.variable, tie.kept] for tie in graph.ties],
    }
    (folder / _REST).write_text(json.dumps(rest), encoding="utf-8")


def load(folder: Path, custom: Mapping[str, Any] | None = None) -> Graph:
    """Read a graph that `save` wrote.

    Args:
        folder: that it was written to.
        custom: classes of layers by name that Keras does not know.
    """
    model = keras.models.load_model(folder / _MODEL, custom_objects=custom, compile=False)
    rest = json.loads((folder / _REST).read_text(encoding="utf-8"))
    ties = [Tie(*each) for each in rest["ties"]]
    return of_flat(model, rest["origin"], ties)
