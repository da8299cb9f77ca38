"""The project file `green-edge.toml`: the options of a model's build and of its fleet.

Options on the command line win over `GREEN_EDGE_*`, which win over this file. File names in it are
relative to the folder it lies in.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from green_edge_wire import codec
from green_edge_wire.errors import ConfigError, DecodeError
from green_edge_wire.manifest import Pipeline

FILE_NAME = "green-edge.toml"


@dataclass(frozen=True, slots=True)
class ModelSection:
    """`[model]`: what goes in.

    Attributes:
        path: Keras file, SavedModel folder or float .tflite.
        name: of the model in bundles and reports; the file's stem when absent.
        labels: text file with one class name a line.
        pipeline: JSON file with pre- and post-processing.
    """

    path: str
    name: str | None = None
    labels: str | None = None
    pipeline: str | None = None


@dataclass(frozen=True, slots=True)
class BuildSection:
    """`[build]`: what is made of it; `calibration`, `train` and `eval` name data sets.

    Attributes:
        calibration_samples: at most so many of them; as the recipe says when absent.
        max_drop_pp: allowed drop of quality in percentage points; as the recipe says when absent.
        seed: of every draw; as the recipe says when absent.
    """

    targets: tuple[str, ...] = ("host",)
    calibration: str | None = None
    calibration_samples: int | None = None
    train: str | None = None
    eval: str | None = None
    max_drop_pp: float | None = None
    recipe: str = "quantize"
    out: str = "build"
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class FleetSection:
    """`[fleet]`: where it goes; an absent key is found elsewhere or has the command's default."""

    site: str | None = None
    broker: str | None = None
    store: str | None = None
    artefacts: str | None = None


@dataclass(frozen=True, slots=True)
class _Document:
    model: ModelSection | None = None
    build: BuildSection = BuildSection()
    fleet: FleetSection = FleetSection()


@dataclass(frozen=True, slots=True)
class Project:
    """A project file and the place it was read from."""

    file: Path
    model: ModelSection | None
    build: BuildSection
    fleet: FleetSection

    def path(self, text: str) -> Path:
        """Path of a file named in the project file."""
        return self.file.parent / text

    def data(self, ref: str) -> str:
        """Reference of a data set named in the project file; `module:function` stays as it is."""
        return ref if is_hook(ref) else str(self.path(ref))


def is_hook(ref: str) -> bool:
    """Whether a data reference is `module:function` and no file."""
    module, colon, function = ref.partition(":")
    return bool(colon) and function.isidentifier() and module.replace(".", "_").isidentifier()


def load_project(file: Path) -> Project:
    """Read a project file.

    Raises:
        ConfigError: it cannot be read, or holds a mistake; names the key.
    """
    try:
        document = codec.decode(_Document, tomllib.loads(_text(file)), strict=True)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}", place=str(file)) from None
    except DecodeError as error:
        raise ConfigError(error.message, place=str(file), hint=error.hint) from None
    if (document.build.max_drop_pp or 0) < 0:
        raise ConfigError("build.max_drop_pp must not be negative", place=str(file))
    if (document.build.seed or 0) < 0:
        raise ConfigError("build.seed must not be negative", place=str(file))
    return Project(file, document.model, document.build, document.fleet)


def find_project(folder: Path) -> Project | None:
    """Read the project file of a folder; None when it has none."""
    file = folder / FILE_NAME
    return load_project(file) if file.is_file() else None


def load_labels(file: Path) -> tuple[str, ...]:
    """Class names, one a line; blank lines at the end are left out.

    Raises:
        ConfigError: it cannot be read, or has empty or repeated names.
    """
    labels = tuple(line.strip() for line in _text(file).rstrip().splitlines())
    if not labels or not all(labels) or len(set(labels)) != len(labels):
        hint = "write one distinct class name a line, in the order of the model's output"
        raise ConfigError("labels are empty or repeat", place=str(file), hint=hint)
    return labels


def load_pipeline(file: Path) -> Pipeline:
    """Pre- and post-processing from a JSON file.

    Raises:
        ConfigError: it cannot be read, or holds a mistake; names the key.
    """
    try:
        return codec.loads(Pipeline, _text(file), strict=True)
    except DecodeError as error:
        raise ConfigError(error.message, place=str(file), hint=error.hint) from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot read it: {reason}", place=str(file)) from None
