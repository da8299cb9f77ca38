"""Makes the int8 models of one subject, each once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from green_edge.build.subject import Subject
from green_edge.build.tools import Samples, Tools
from green_edge.convert.converters import Repaired, Wide
from green_edge.core.recipe import Method, Recipe, Repair, WideDtype
from green_edge.core.report import Skip
from green_edge.data.dataset import Dataset, FineTuneSets
from green_edge.evaluate.layers import layer_errors
from green_edge.search import ladder
from green_edge.search.ladder import Rung
from green_edge.tflite.model import TfliteModel
from green_edge.tflite.read import read
from green_edge_wire.errors import ModelError
from green_edge_wire.manifest import TensorSpec

# Layers that a message names.
_SHOWN = 3

# Layers by the names of their output tensors, those that hurt the output most first, of a float
# .tflite and its int8 form on some samples.
RankLayers = Callable[[bytes, bytes, Dataset], Sequence[str]]


def worst_layers(float_tflite: bytes, int8_tflite: bytes, samples: Dataset) -> tuple[str, ...]:
    """Layers that could stay wide, those that hurt the output most first.

    Raises:
        ModelError: a model cannot run.
    """
    errors = layer_errors(float_tflite, int8_tflite, samples)
    takers = _takers(read(float_tflite))
    # A change of scale is no layer of the float model: it spares the layers that ask for it.
    names = (name for e in errors for name in ([e.name] if e.ops else takers.get(e.name, [])))
    return tuple(dict.fromkeys(names))


def _takers(model: TfliteModel) -> Mapping[str, list[str]]:
    """Output tensors of the operations that take each tensor."""
    takers: dict[str, list[str]] = {}
    for op in model.ops:
        given = [model.tensors[index].name for index in op.outputs]
        for index in op.inputs:
            if index >= 0:
                takers.setdefault(model.tensors[index].name, []).extend(given)
    return takers


K = TypeVar("K")
V = TypeVar("V")


class _Once(Generic[K, V]):
    """Remembers what a function gave, and where it refused."""

    def __init__(self, make: Callable[[K], V]) -> None:
        self._make = make
        self._found: dict[K, V | ModelError] = {}

    def __call__(self, key: K) -> V:
        if key not in self._found:
            try:
                self._found[key] = self._make(key)
            except ModelError as error:
                self._found[key] = error
        found = self._found[key]
        if isinstance(found, ModelError):
            raise ModelError(found.message, hint=found.hint) from found
        return found


class Workbench:
    """A subject, what has been made of it, and the tools to make more.

    A repair is made on top of the model without it, which is kept, so that a ladder's rungs cost
    no more than themselves.
    """

    def __init__(
        self, subject: Subject, tools: Tools, rank: RankLayers, recipe: Recipe, seed: int
    ) -> None:
        self.subject = subject
        self._tools = tools
        self._rank = rank
        self._steps = recipe.fine_tune.steps
        self._seed = seed
        self._inputs = subject.float_model.names.inputs
        self._int8 = _Once(self._checked)
        self._layers = _Once(self._ranked)
        self._equalised = _Once(self._equalise)

    def int8(self, method: Method) -> bytes:
        """The subject's int8 .tflite by a method.

        Raises:
            ModelError: it cannot be made, or its inputs and outputs did not become int8.
        """
        return self._int8(method).content

    def skipped(self, rung: Rung, method: Method) -> tuple[Skip, ...]:
        """Layers that a rung of a method left alone.

        Raises:
            ModelError: the method failed.
        """
        if rung == "equalisation":
            return self._equalised(self.subject.float_model.content).skipped
        if rung == "adaptive-rounding":
            return self._int8(_without(method, "bias-correction")).skipped
        return self._int8(method).skipped if rung == "bias-correction" else ()

    def layers(self, method: Method) -> tuple[str, ...]:
        """Layers that `method` quantizes, those that hurt its output most first.

        Raises:
            ModelError: the method failed, or its layers cannot be told apart.
        """
        return self._layers(method)

    def widened(self, method: Method, count: int, dtype: WideDtype) -> Method:
        """The method with mixed precision: so many of its worst layers stay wide.

        Half of them are found first, and the others by their harm in the model with those: noise
        that a layer takes in hides its own.

        Raises:
            ModelError: as `layers`.
        """
        if count == 1:
            return ladder.mixed(method, self.layers(method)[:1], dtype)
        half = self.widened(method, count // 2, dtype)
        others = [name for name in self.layers(half) if name not in half.wide]
        return ladder.mixed(method, (*half.wide, *others[: count - len(half.wide)]), dtype)

    def own(self, method: Method) -> Method:
        """The method with as many wide layers, but the worst of this subject.

        Models of folds are other models: their tensors may go by other names, and other layers may
        be the worst.

        Raises:
            ModelError: as `layers`.
        """
        if not method.wide:
            return method
        found = self.widened(ladder.narrow(method), len(method.wide), method.wide_dtype)
        return replace(method, wide=found.wide)

    def _checked(self, method: Method) -> Repaired:
        made = self._make(method)
        _check_int8(self.subject.float_model.facts, read(made.content))
        return made

    def _ranked(self, method: Method) -> tuple[str, ...]:
        samples = self.subject.sets.calibration
        return tuple(self._rank(self._float(method), self.int8(method), samples))

    def _make(self, method: Method) -> Repaired:
        tools, inputs, samples = self._tools, self._inputs, self._samples()
        # Rounding changes what a layer's bias has to make good, so bias comes last.
        if "bias-correction" in method.repairs:
            before = self.int8(_without(method, "bias-correction"))
            return tools.correct_bias(self._float(method), before, inputs, samples)
        if "adaptive-rounding" in method.repairs:
            before = self.int8(_without(method, "adaptive-rounding"))
            return tools.round_adaptively(self._float(method), before, inputs, samples)
        if "fine-tune" in method.repairs:
            return Repaired(self._fine_tuned(samples))
        if method.quantizer == "tf":
            return Repaired(tools.to_int8(self.subject.source, inputs, samples))
        wide, ranges = Wide(method.wide, method.wide_dtype), method.calibration
        model = self._float(method)
        return Repaired(tools.quantize(model, inputs, samples, ranges=ranges, wide=wide))

    def _float(self, method: Method) -> bytes:
        """The float model that a method starts from."""
        content = self.subject.float_model.content
        if "equalisation" not in method.repairs:
            return content
        return self._equalised(content).content

    def _equalise(self, content: bytes) -> Repaired:
        found = self._tools.equalise(content)
        if not found.done:
            raise ModelError("no two layers can be equalised" + _reasons(found.skipped))
        return found

    def _fine_tuned(self, samples: Samples) -> bytes:
        training = self.subject.sets.training
        if isinstance(training, str):
            raise ModelError(training)
        learned = training()
        arrays = tuple(learned.inputs[name] for name in self._inputs)
        return self._tools.fine_tune(
            self.subject.source,
            FineTuneSets(self._inputs, arrays, tuple(samples)),
            seed=self._seed,
            steps=self._steps,
        )

    def _samples(self) -> Samples:
        return [self.subject.sets.calibration.inputs[name] for name in self._inputs]


def _reasons(skipped: Sequence[Skip]) -> str:
    """The first few, as part of a sentence."""
    shown = [f"{skip.layer}: {skip.reason}" for skip in skipped[:_SHOWN]]
    more = [f"{len(skipped) - _SHOWN} more"] if len(skipped) > _SHOWN else []
    return f": {'; '.join([*shown, *more])}" if skipped else ""


def _without(method: Method, repair: Repair) -> Method:
    return replace(method, repairs=tuple(r for r in method.repairs if r != repair))


def _check_int8(before: TfliteModel, after: TfliteModel) -> None:
    """Refuse a candidate whose real-valued inputs and outputs are not int8."""
    wanted = [_int8_of(spec) for spec in (*before.inputs, *before.outputs)]
    got = [spec.dtype for spec in (*after.inputs, *after.outputs)]
    if sorted(wanted) != sorted(got):
        raise ModelError("its inputs and outputs did not become int8")


def _int8_of(spec: TensorSpec) -> str:
    return "int8" if spec.dtype == "float32" else spec.dtype
