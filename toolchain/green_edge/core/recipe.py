"""Recipes: what is done to a model on its way to the target."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

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
class Recipe:
    """Full int8 by each of `quantizers` that is installed and fits; the better one is kept.

    Where its quality does not pass the guard, the other calibrations and then the repairs are tried
    in turn, each compared with the best so far (`search.ladder`).

    Attributes:
        name: for the report.
        quantizers: to be tried, in this order; the earlier one wins a tie.
        calibrations: the first is ai-edge-quantizer's at once, the others are rungs of the ladder.
        calibration_samples: at most so many samples of the calibration set are used.
        repair: rungs of the ladder after the calibrations, in this order; empty for none.
        wide_dtype: type of the layers that mixed precision keeps wide.
    """

    name: str = "auto"
    quantizers: tuple[Quantizer, ...] = ("tf", "aeq")
    calibrations: tuple[Calibration, ...] = CALIBRATIONS
    calibration_samples: int = 200
    repair: tuple[Repair, ...] = REPAIRS
    wide_dtype: WideDtype = "float32"
    fine_tune: FineTune = field(default_factory=FineTune)

    @property
    def methods(self) -> tuple[Method, ...]:
        """What is tried at once."""
        return tuple(
            Method("aeq", self.calibrations[0]) if quantizer == "aeq" else Method("tf")
            for quantizer in self.quantizers
        )


def load_recipe(ref: str) -> Recipe:
    """Recipe by name (`auto`, `int8`) or from a TOML file, whose absent keys are those of `auto`.

    `int8` is min-max calibration by both quantizers and no repair.

    Raises:
        ConfigError: no such recipe or file, or a mistake in the file.
    """
    if ref == "auto":
        return Recipe()
    if ref == "int8":
        return Recipe("int8", calibrations=("minmax",), repair=())
    try:
        document = tomllib.loads(Path(ref).read_text(encoding="utf-8"))
        recipe = codec.decode(Recipe, {"name": Path(ref).stem} | document, strict=True)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        hint = "recipes are auto, int8, or a TOML file"
        raise ConfigError(f"cannot read {ref!r}: {reason}", place="--recipe", hint=hint) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}", place=ref) from None
    except DecodeError as error:
        raise ConfigError(error.message, place=ref, hint=error.hint) from None
    _check(recipe, ref)
    return recipe


def _check(recipe: Recipe, place: str) -> None:
    topics.check_name(recipe.name, place=f"{place}: name")
    if not recipe.quantizers or not recipe.calibrations or recipe.calibration_samples < 1:
        message = "needs one quantizer, one calibration and one calibration sample at least"
        raise ConfigError(message, place=place)
    if recipe.fine_tune.steps < 1:
        raise ConfigError("fine_tune.steps must be 1 at least", place=place)
    lists: dict[str, Sequence[str]] = {
        "quantizers": recipe.quantizers,
        "calibrations": recipe.calibrations,
        "repair": recipe.repair,
    }
    for key, entries in lists.items():
        if len(set(entries)) != len(entries):
            raise ConfigError(f"{key} names one of them twice", place=place)
