"""The only printer of the device: data on stdout, talk on stderr."""

import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from green_edge_agent.check import Check
from green_edge_agent.meters.report import MeterReport, MeterRow
from green_edge_wire import codec
from green_edge_wire.device import InferResult, SlotInfo
from green_edge_wire.units import w_from_uw

_DIGEST_CHARS = 12


def configure_logging(*, verbose: bool) -> None:
    """Send the log to stderr; the service's own level is INFO, which a journal keeps."""
    level = logging.DEBUG if verbose else logging.INFO
    logging.basicConfig(
        stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("paho").setLevel(logging.WARNING)


def say(text: str) -> None:
    """Talk to the person at the terminal (stderr)."""
    print(text, file=sys.stderr, flush=True)


def document(record: Any) -> None:
    """Print exactly one JSON document (stdout)."""
    print(codec.dumps(record, indent=2), flush=True)


def answer(result: InferResult) -> None:
    """Print the answer to a line of standard input as a line of JSON (stdout).

    Raises:
        OSError: nobody reads stdout any more, or its disk is full; what is printed later vanishes.
    """
    try:
        print(codec.dumps(result), flush=True)
    except OSError:
        # Python flushes stdout at its end; what is left in the buffer would fail there once more
        # and turn a clean stop into exit code 120.
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        raise


def checks(found: Sequence[Check]) -> None:
    """Print the checks of `doctor`, each with its remedy where it has one."""
    width = max(len(check.name) for check in found)
    for check in found:
        print(f"{check.ok:<4}  {check.name:<{width}}  {check.found}")
        if check.remedy is not None:
            print(f"{'':<4}  {'':<{width}}  -> {check.remedy}")


def meters(report: MeterReport) -> None:
    """Print the meters, the one in use first, and why the others are not."""
    print(f"board: {report.board}")
    for row in report.meters:
        print(f"{_mark(row)} {row.name}  {row.kind}, {row.boundary}, +-{row.u_ratio:.0%}")
        print(f"    covers: {row.covers}")
        if row.power_uw is not None:
            about = "~" if row.kind == "modelled" else ""
            flags = f" ({', '.join(row.flags)})" if row.flags else ""
            print(f"    now: {about}{w_from_uw(row.power_uw):.2f} W{flags}")
        if row.refusal is not None:
            print(f"    not used: {row.refusal}")


def slots(found: Sequence[SlotInfo], quarantine: Sequence[tuple[str, str]]) -> None:
    """Print the slots and the digests in quarantine."""
    for slot in found:
        held = f"{slot.model} version {slot.model_version}  {slot.sha256[:_DIGEST_CHARS]}"
        print(f"{slot.slot}  {slot.state:<8}  {held if slot.sha256 else ''}".rstrip())
    for digest, reason in quarantine:
        print(f"quarantine  {digest[:_DIGEST_CHARS]}  {reason}")


def _mark(row: MeterRow) -> str:
    return "*" if row.in_use else "-"
