"""Recipes: what is done to a model on its way to the target."""

import difflib
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal, get_args

from green_edge.core import step_tables
from green_edge.core.steps import Cluster, LowRank, Prune, Reconstruct, Recover, Step
from green_edge_wire import codec, topics
from green_edge_wire.errors import ConfigError, DecodeError

# tf: the TensorFlow converter's calibrated full int8; aeq: ai-edge-quantizer on the float .tflite.
Quantizer = Literal["tf", "aeq"]
# How the range of an activation follows from what the calibration samples showed.
Calibration = Literal["minmax", "percentile", "mse", "entropy"]
Repair = Literal["bias-correction", "equalisation", "adaptive-rounding", "fine-tune", "mixed"]
WideDtype = Literal["int16", "float32"]

CALIBRATIONS: tuple[Calibration, ...] = get_args(Calibration)
REPAIRS: tuple[Repair, ...] = get_args(Repair)


@dataclass(frozen=True, slots=True)
class Method:
    """One way to an int8 model.

    Attributes:
        calibration: the TF converter knows `minmax` alone.
        repairs: in the order in which the ladder took them up. What is done first follows from
            their kind: equalisation works on the float model, rounding and bias on the int8 one.
        wide: output tensors of the layers that stay wider than int8; with the repair `mixed`.
        wide_dtype: of these layers' activations.
    """

    quantizer: Quantizer
    calibration: Calibration = "minmax"
    repairs: tuple[Repair, ...] = ()
    wide: tuple[str, ...] = ()
    wide_dtype: WideDtype = "float32"

    @property
    def name(self) -> str:
        """Name for reports and files, such as `int8-aeq-mse+bias-correction+mixed-2`."""
        parts = (f"mixed-{len(self.wide)}" if r == "mixed" else r for r in self.repairs)
        return "+".join([f"int8-{self.quantizer}-{self.calibration}", *parts])


@dataclass(frozen=True, slots=True)
class FineTune:
    """`[fine_tune]`: short quantization-aware training of a Keras model."""

    steps: int = 500


@dataclass(frozen=True, slots=True)
class Budget:
    """`[budget]`: what the shipped model may lose and cost; an absent key is no limit.

    Ratios are of the unchanged model's plain int8 file; instructions and energy as the cost model
    of the first target that has one predicts them.

    Attributes:
        max_drop_pp: allowed drop of quality in percentage points; `--max-drop` wins over it.
    """

    max_drop_pp: float | None = None
    max_macs_ratio: float | None = None
    max_instructions_ratio: float | None = None
    max_energy_ratio: float | None = None
    max_size_ratio: float | None = None
    max_size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """`[search]`: find the steps for the lowest predicted cost that holds the allowed drop.

    Attributes:
        budget_minutes: time for it; `--budget-minutes` wins over it.
        prune: how channels are taken out; `keep` is the search's to set.
        recover: how what is left is trained; `epochs` are the search's to set.
    """

    budget_minutes: float = 20.0
    prune: Prune = field(default_factory=lambda: Prune(keep=0.5))
    recover: Recover = field(default_factory=Recover)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Steps that shrink a Keras model, if any, and then full int8.

    Int8 is made by each of `quantizers` that is installed and fits; the better one is kept. Where
    its quality does not pass the guard, the other calibrations and then the repairs are tried
    in turn, each compared with the best so far (`search.ladder`).

    Attributes:
        name: for the report.
        quantizers: to be tried, in this order; the earlier one wins a tie.
        calibrations: the first is ai-edge-quantizer's at once, the others are rungs of the ladder.
        calibration_samples: at most so many samples of the calibration set are used.
        repair: rungs of the ladder after the calibrations, in this order; empty for none.
        wide_dtype: type of the layers that mixed precision keeps wide.
        seed: of every random draw; `--seed` wins over it.
        budget: what the result is held to.
        search: find the steps; in the recipe that a report holds, these are the steps found.
        steps: what is done to the Keras model before it is quantized.
    """

    name: str = "quantize"
    quantizers: tuple[Quantizer, ...] = ("tf", "aeq")
    calibrations: tuple[Calibration, ...] = CALIBRATIONS
    calibration_samples: int = 200
    repair: tuple[Repair, ...] = REPAIRS
    wide_dtype: WideDtype = "float32"
    fine_tune: FineTune = field(default_factory=FineTune)
    seed: int | None = None
    budget: Budget = field(default_factory=Budget)
    search: Search | None = None
    steps: tuple[Step, ...] = ()

    @property
    def methods(self) -> tuple[Method, ...]:
        """What is tried at once."""
        return tuple(
            Method("aeq", self.calibrations[0]) if quantizer == "aeq" else Method("tf")
            for quantizer in self.quantizers
        )


# Batches without which little is recovered, however few the samples.
_LEAST_STEPS = 2_000


def _prune() -> Recipe:
    half = 0.5
    rounds = tuple(step for keep in (half**0.5, half) for step in (Prune(keep), Reconstruct()))
    return Recipe("prune", steps=(*rounds, Recover(epochs=8.0, least_steps=_LEAST_STEPS)))


def _low_rank() -> Recipe:
    return Recipe("low-rank", steps=(LowRank(keep=0.6), Recover(least_steps=_LEAST_STEPS)))


def _cluster() -> Recipe:
    # A higher rate moves what few values there are too far.
    recovery = Recover(epochs=2.0, rate=3e-4, least_steps=_LEAST_STEPS // 2)
    return Recipe("cluster", steps=(Cluster(), recovery))


BUILT_IN: Mapping[str, Callable[[], Recipe]] = {
    "auto": lambda: Recipe("auto", search=Search()),
    "quantize": Recipe,
    "int8": lambda: Recipe("int8", calibrations=("minmax",), repair=()),
    "prune": _prune,
    "low-rank": _low_rank,
    "cluster": _cluster,
}


def load_recipe(ref: str) -> Recipe:
    """Recipe by name, see `BUILT_IN`, or from a TOML file.

    Keys that a file leaves out are those of `quantize`, which repairs int8 that fails the guard.
    `int8` is min-max calibration by both quantizers and no repair.

    Raises:
        ConfigError: no such recipe or file, or a mistake in the file.
    """
    if ref in BUILT_IN:
        return BUILT_IN[ref]()
    try:
        document = {"name": Path(ref).stem} | tomllib.loads(Path(ref).read_text(encoding="utf-8"))
        tables = document.pop("steps", [])
        recipe = codec.decode(Recipe, document, strict=True)
        recipe = replace(recipe, steps=step_tables.decode(tables))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        message = f"cannot read {ref!r}: {reason}"
        raise ConfigError(message, place="--recipe", hint=_known(ref)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}", place=ref) from None
    except DecodeError as error:
        raise ConfigError(error.message, place=ref, hint=error.hint) from None
    _check(recipe, ref)
    return recipe


def _known(ref: str) -> str:
    near = difflib.get_close_matches(ref, BUILT_IN, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return f"{meant}recipes are {', '.join(BUILT_IN)}, or a TOML file"


def _check(recipe: Recipe, place: str) -> None:
    topics.check_name(recipe.name, place=f"{place}: name")
    if not recipe.quantizers or not recipe.calibrations or recipe.calibration_samples < 1:
        message = "needs one quantizer, one calibration and one calibration sample at least"
        raise ConfigError(message, place=place)
    if recipe.fine_tune.steps < 1:
        raise ConfigError("fine_tune.steps must be 1 at least", place=place)
    if recipe.seed is not None and recipe.seed < 0:
        raise ConfigError("seed must not be negative", place=place)
    _check_budget(recipe.budget, place)
    _check_search(recipe, place)
    lists: dict[str, Sequence[str]] = {
        "quantizers": recipe.quantizers,
        "calibrations": recipe.calibrations,
        "repair": recipe.repair,
    }
    for key, entries in lists.items():
        if len(set(entries)) != len(entries):
            raise ConfigError(f"{key} names one of them twice", place=place)


def _check_budget(budget: Budget, place: str) -> None:
    for limit in fields(Budget):
        value = getattr(budget, limit.name)
        least = 0 if limit.name == "max_drop_pp" else None
        if value is not None and (value < 0 or (least is None and value == 0)):
            raise ConfigError(f"budget.{limit.name} must be above 0", place=place)


def _check_search(recipe: Recipe, place: str) -> None:
    if recipe.search is None:
        return
    if recipe.steps:
        hint = "leave out [[steps]] or [search]"
        raise ConfigError("a search finds the steps, and steps are given", place=place, hint=hint)
    check_minutes(recipe.search.budget_minutes, f"{place}: search.budget_minutes")


def check_minutes(minutes: float, place: str) -> None:
    """Refuse a time that is none.

    Raises:
        ConfigError: naming the place.
    """
    if not 0 < minutes < math.inf:
        raise ConfigError("must be a number of minutes above 0", place=place)
