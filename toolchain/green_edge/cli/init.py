"""`green-edge init`: a project file to begin with."""

from pathlib import Path

import click

from green_edge.cli import render
from green_edge.core.project import FILE_NAME
from green_edge.fleet.projectfile import TEMPLATE
from green_edge_wire.errors import ConfigError


@click.command(name="init", epilog="Example: green-edge init my-project")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
def command(*, folder: Path) -> None:
    """Write a commented green-edge.toml into DIR (by default this folder)."""
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise ConfigError(f"{path} is there already", hint="edit it, or delete it first") from None
    except OSError as error:
        hint = "choose a folder that you may write"
        raise ConfigError(f"cannot write {path}: {error.strerror}", hint=hint) from error
    render.say(f"wrote {path}; next: fill in model.path, then 'green-edge build --config {path}'")
