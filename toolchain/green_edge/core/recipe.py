"""Recipes: what is done to a model on its way to the target."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from green_edge_wire import codec
from green_edge_wire.errors import ConfigError, DecodeError

# tf: the TensorFlow converter's calibrated full int8; aeq: ai-edge-quantizer on the float .tflite.
Quantizer = Literal["tf", "aeq"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Full int8 by each of `quantizers` that is installed and fits; the better one is kept.

    Attributes:
        name: for the report.
        quantizers: to be tried, in this order; the earlier one wins a tie.
        calibration_samples: at most so many samples of the calibration set are used.
    """

    name: str = "int8"
    quantizers: tuple[Quantizer, ...] = ("tf", "aeq")
    calibration_samples: int = 200


def load_recipe(ref: str) -> Recipe:
    """Recipe by name (`auto`, `int8`) or from a TOML file.

    Raises:
        ConfigError: no such recipe or file, or a mistake in the file.
    """
    if ref in {"auto", "int8"}:
        return Recipe(name=ref)
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
    if not recipe.quantizers or recipe.calibration_samples < 1:
        raise ConfigError("needs one quantizer and one calibration sample at least", place=ref)
    return recipe
