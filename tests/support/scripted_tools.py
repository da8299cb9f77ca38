"""Converters that make int8 models of a scripted quality, in no time."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from green_edge.convert.converters import NO_WIDE, Repaired, Wide
from green_edge.convert.formats import Source
from green_edge.core.recipe import Calibration
from green_edge.core.report import Skip
from green_edge.data.dataset import Dataset, FineTuneSets
from green_edge_wire.errors import ModelError
from support.scripted_passes import script_of
from support.tiny_models import dense_weights, tiny_float_dense, tiny_int8_dense

Samples = Sequence[NDArray[Any]]

# A model of noise 0 is the float model up to rounding; of 1 it has lost several points.
_AS_LOUD_AS = 0.35


def int8_model(noise: float, *, seed: int = 0) -> bytes:
    """`tiny_int8_dense` with noise of a level on its weights: the more, the worse it classifies."""
    weights = dense_weights(seed=seed)
    scale = float(np.abs(weights).max()) / 127
    drawn = np.random.default_rng(3).normal(0, _AS_LOUD_AS, weights.shape)
    noisy = np.clip(np.round((weights + noise * drawn) / scale), -127, 127).astype(np.int8)
    exact = np.round(weights / scale).astype(np.int8)
    return tiny_int8_dense(seed=seed).replace(exact.tobytes(), noisy.tobytes())


def rank_layers(float_tflite: bytes, int8_tflite: bytes, samples: Dataset) -> tuple[str, ...]:
    """Eight layers, each the worst once."""
    assert float_tflite
    assert int8_tflite
    assert samples.n
    return tuple(f"layer-{i}" for i in range(8))


@dataclass
class ScriptedTools:
    """Gives int8 models by a script, and notes what it was asked for.

    Attributes:
        noise: of the models by quantizer and calibration: `tf`, `minmax`, `percentile` ...; of
            shrunk ones by the TF converter: `shrunk`.
        factors: what each repair makes of the noise; one that is missing is refused.
        wide: noise by the number of wide layers.
        skipped: number of layers that each repair leaves alone.
        asked: in the order of asking.
        sets: that fine-tuning was given.
    """

    noise: Mapping[str, float]
    factors: Mapping[str, float] = field(default_factory=dict)
    wide: Mapping[int, float] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    sets: list[FineTuneSets] = field(default_factory=list)
    _level: dict[str, tuple[float, int]] = field(default_factory=dict)

    def __call__(self, folder: Path, *, timeout_s: float, custom: Sequence[str] = ()) -> Self:
        """Open."""
        del custom
        assert folder.is_dir()
        assert timeout_s > 0
        return self

    def __enter__(self) -> Self:
        """Hold nothing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let nothing go."""

    def renew(self) -> None:
        """Note it."""
        self.asked.append("renew")

    def to_float(self, source: Source) -> bytes:
        """A .tflite as it is; of anything else `tiny_float_dense` of seed 0.

        After so many steps that shrink it a byte a step follows, which belongs to nobody.
        """
        self.asked.append("float")
        if source.format == "tflite":
            return source.path.read_bytes()
        script = script_of(source.path)
        return tiny_float_dense(seed=script.seed) + b"\0" * script.steps

    def to_int8(self, source: Source, inputs: Sequence[str], calibration: Samples) -> bytes:
        """By the noise of `tf`, after steps that shrink by that of `shrunk`."""
        assert source.format != "tflite"
        script = script_of(source.path)
        name = "shrunk" if script.steps else "tf"
        return self._first(name, script.seed, inputs, calibration)

    def quantize(
        self,
        float_tflite: bytes,
        inputs: Sequence[str],
        calibration: Samples,
        *,
        ranges: Calibration = "minmax",
        wide: Wide = NO_WIDE,
    ) -> bytes:
        """By the noise of the calibration, of the wide layers, and of an equalised model."""
        noise, seed = self._level.get(_key(float_tflite), (1.0, _seed(float_tflite)))
        if not wide.layers:
            return self._first(ranges, seed, inputs, calibration, factor=noise)
        self.asked.append(f"wide {','.join(wide.layers)} {wide.dtype}")
        return self._made(self.wide[len(wide.layers)], seed)

    def correct_bias(
        self, float_tflite: bytes, int8_tflite: bytes, inputs: Sequence[str], calibration: Samples
    ) -> Repaired:
        """By its factor."""
        assert float_tflite
        made = self._repaired("bias-correction", int8_tflite, inputs, calibration)
        return Repaired(made, (), self._skipped("bias-correction"))

    def round_adaptively(
        self, float_tflite: bytes, int8_tflite: bytes, inputs: Sequence[str], calibration: Samples
    ) -> Repaired:
        """By its factor."""
        assert float_tflite
        made = self._repaired("adaptive-rounding", int8_tflite, inputs, calibration)
        return Repaired(made, (), self._skipped("adaptive-rounding"))

    def equalise(self, float_tflite: bytes) -> Repaired:
        """A float model whose int8 forms have their noise times the factor."""
        self.asked.append("equalisation")
        if "equalisation" not in self.factors:
            return Repaired(float_tflite, (), (Skip("dense", "no layer after it"),))
        # Bytes after the end of a flatbuffer belong to nobody.
        other = float_tflite + b"\0"
        self._level[_key(other)] = (self.factors["equalisation"], _seed(float_tflite))
        return Repaired(other, ("a -> b",), self._skipped("equalisation"))

    def fine_tune(self, source: Source, sets: FineTuneSets, *, seed: int, steps: int) -> bytes:
        """By its factor of the noise of `tf`."""
        assert source.format == "keras"
        self.asked.append(f"fine-tune {steps} {seed}")
        self.sets.append(sets)
        return self._made(self.noise["tf"] * self._factor("fine-tune"), 0)

    def _first(
        self, name: str, seed: int, inputs: Sequence[str], samples: Samples, *, factor: float = 1.0
    ) -> bytes:
        self.asked.append(name)
        assert len(inputs) == len(samples) == 1
        if name not in self.noise:
            raise ModelError(f"{name} was not to be")
        return self._made(self.noise[name] * factor, seed)

    def _repaired(
        self, name: str, int8_tflite: bytes, inputs: Sequence[str], samples: Samples
    ) -> bytes:
        self.asked.append(name)
        assert len(inputs) == len(samples) == 1
        noise, seed = self._level[_key(int8_tflite)]
        return self._made(noise * self._factor(name), seed)

    def _skipped(self, repair: str) -> tuple[Skip, ...]:
        return tuple(Skip(f"layer-{i}", repair) for i in range(self.skipped.get(repair, 0)))

    def _factor(self, name: str) -> float:
        if name not in self.factors:
            raise ModelError(f"{name} was not to be")
        return self.factors[name]

    def _made(self, noise: float, seed: int) -> bytes:
        content = int8_model(noise, seed=seed)
        self._level[_key(content)] = (noise, seed)
        return content


def _key(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _seed(float_tflite: bytes) -> int:
    """Seed of the `tiny_float_dense` that a model is."""
    return next(s for s in range(100) if dense_weights(seed=s).tobytes() in float_tflite)
