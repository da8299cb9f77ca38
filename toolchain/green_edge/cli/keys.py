"""`green-edge keys`: make, list and export signing keys."""

from dataclasses import dataclass

import click

from green_edge.bundle import keys
from green_edge.cli import render

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@dataclass(frozen=True, slots=True)
class _Listing:
    keys: tuple[keys.KeyFile, ...]


@click.group("keys", epilog="Example: green-edge keys new")
def command() -> None:
    """Signing keys: Ed25519, in $GREEN_EDGE_KEYS or ~/.config/green-edge/keys.

    A device runs only bundles signed by a key whose public line stands in its agent.toml.
    """


@command.command("new", epilog="Example: green-edge keys new laboratory")
@click.argument("name", default=keys.DEFAULT_NAME)
@_JSON
def new(name: str, *, as_json: bool) -> None:
    """Make a key called NAME ('default' unless given)."""
    made = keys.describe(keys.new_key(name, keys.default_folder()))
    if as_json:
        render.document(made)
        return
    render.text(made.public)
    render.say(f"private key in {made.path}; keep it, and give the line above to your devices")


@command.command("list", epilog="Example: green-edge keys list --json")
@_JSON
def list_(*, as_json: bool) -> None:
    """List the keys."""
    found = keys.list_keys()
    if as_json:
        render.document(_Listing(found))
    elif found:
        rows = [(key.name, key.key_id, str(key.path)) for key in found]
        render.text(render.table(("name", "key id", "file"), rows))
    else:
        render.say("no keys yet; make one with: green-edge keys new")


@command.command("export", epilog="Example: green-edge keys export default")
@click.argument("name", required=False)
@_JSON
def export(name: str | None, *, as_json: bool) -> None:
    """Print the public line of key NAME, as agent.toml's trust.keys takes it."""
    key = keys.load_signer(name)
    if as_json:
        render.document(keys.describe(key))
    else:
        render.text(key.public.text)
