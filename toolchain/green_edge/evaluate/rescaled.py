"""Finds tensors that a new model holds in other units than the baseline, channel by channel.

Cross-layer equalisation multiplies the channels of one layer and divides them in the next: the
function is the same, the tensor between is not. Taken as they are, one of the two layers looks
broken or both, though neither does harm. Once the tensor is read in its own units both look sound.
Where a layer is really broken, other units for its output only move the blame to the next one.

Units are taken from activations: of channels that are all but dead on the samples they stay
unknown, and a layer full of those is reported as it is. The equalised float model, where it is at
hand, is the better baseline.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from green_edge.evaluate.matching import Layer

# What the new file's tensors are to be divided by, a number a channel; absent where it is 1.
Units = Mapping[int, NDArray[np.float32]]

# A channel that is scaled by 1.1 leaves 20 dB; int8 layers are above it unless something is wrong.
_SUSPECT_DB = 20.0
_GAIN_DB = 6.0


class Errors(Protocol):
    """The two figures of a layer."""

    @property
    def sqnr_db(self) -> float:
        """Its own error."""
        ...

    @property
    def output_sqnr_db(self) -> float:
        """The harm it does."""
        ...


def find_units(
    layers: Sequence[Layer],
    slopes: Callable[[Layer, Units], NDArray[np.float32]],
    errors: Callable[[Layer, Units], Errors],
) -> Units:
    """Units of the new file's tensors.

    Args:
        layers: in the new file's order.
        slopes: of the new file's layer over the baseline's on the same inputs, by channel, when
            these inputs are read in some units.
        errors: of a layer, likewise.
    """
    plain = {layer.end.b: errors(layer, {}) for layer in layers}
    takers: dict[int, list[Layer]] = {}
    for layer in layers:
        for start in layer.starts:
            takers.setdefault(start.b, []).append(layer)
    tried: dict[int, NDArray[np.float32]] = {}
    for layer in layers:
        if layer.end.b in takers and errors(layer, tried).sqnr_db < _SUSPECT_DB:
            slope = slopes(layer, tried)
            trial = tried | {layer.end.b: np.where(slope > 0, slope, 1).astype(np.float32)}
            tried = trial if errors(layer, trial).sqnr_db >= _SUSPECT_DB else tried

    def mended(layer: Layer) -> bool:
        group = [layer, *takers[layer.end.b]]
        before = min(plain[part.end.b].output_sqnr_db for part in group)
        after = [errors(part, tried) for part in group]
        sound = all(error.sqnr_db >= _SUSPECT_DB for error in after)
        return sound and min(error.output_sqnr_db for error in after) >= before + _GAIN_DB

    kept = {layer.end.b for layer in layers if layer.end.b in tried and mended(layer)}
    return {index: slope for index, slope in tried.items() if index in kept}
