"""The model version: one more with each build of a name whose model bytes differ.

The last version of each name is kept beside the outputs, in `model-versions.json`, so that it
follows the project and not the machine.
"""

from dataclasses import dataclass, field
from pathlib import Path

from green_edge_wire import codec
from green_edge_wire.errors import ConfigError, DecodeError

FILE_NAME = "model-versions.json"


@dataclass(frozen=True, slots=True)
class LastBuild:
    """The newest build of a name; `model_sha256` is that of its .tflite."""

    version: int
    model_sha256: str


@dataclass(frozen=True, slots=True)
class Versions:
    """Content of `model-versions.json`: last build by model name."""

    models: dict[str, LastBuild] = field(default_factory=dict)


def load_versions(folder: Path) -> Versions:
    """Read the state beside the outputs; empty when there is none.

    Raises:
        ConfigError: it cannot be read. Starting again from 1 would make devices refuse the model.
    """
    file = folder / FILE_NAME
    try:
        return codec.loads(Versions, file.read_bytes(), strict=True)
    except FileNotFoundError:
        return Versions()
    except (OSError, DecodeError) as error:
        hint = "mend or remove it, and give the next number with --model-version N"
        raise ConfigError(f"cannot read it: {error}", place=str(file), hint=hint) from None


def next_version(versions: Versions, name: str, model_sha256: str, asked: int | None) -> int:
    """Version of a build: as asked, else that of the last one, plus one if the bytes differ."""
    if asked is not None:
        return asked
    last = versions.models.get(name)
    if last is None:
        return 1
    return last.version if last.model_sha256 == model_sha256 else last.version + 1


def with_build(versions: Versions, name: str, build: LastBuild) -> Versions:
    """The state after a build."""
    return Versions(dict(sorted((versions.models | {name: build}).items())))
