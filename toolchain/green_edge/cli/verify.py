"""`green-edge verify`: check a bundle's bytes and signature."""

from pathlib import Path

import click

from green_edge.bundle import check
from green_edge.cli import render
from green_edge_wire.errors import IntegrityError


@click.command("verify", epilog="Example: green-edge verify digits.host.gedge")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--key",
    "key_files",
    type=click.Path(path_type=Path),
    multiple=True,
    help="File with public keys, one a line as 'keys export' prints them; default: your own keys.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(bundle: Path, key_files: tuple[Path, ...], *, as_json: bool) -> None:
    """Check every byte of BUNDLE and its signature, as a device does before installing it.

    Exit code 5 when it is not valid; the message names the member at fault, or 'archive'.
    """
    verdict = check.check_file(bundle, key_files)
    if as_json:
        render.document(verdict)
        if not verdict.valid:
            click.get_current_context().exit(IntegrityError.exit_code)
        return
    if not verdict.valid:
        raise IntegrityError(
            verdict.reason or "",
            member=verdict.member or "",
            place=str(bundle),
            hint="build or fetch it again, or give the signer's public key with --key",
        )
    render.text(
        f"valid: {verdict.model} version {verdict.model_version} for {verdict.target}, "
        f"signed by {verdict.key_id}\nsha256 {verdict.sha256}"
    )
