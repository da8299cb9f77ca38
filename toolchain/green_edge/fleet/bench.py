"""Having a device measure a model: the signed command, and the figures in its answer."""

from dataclasses import dataclass

from green_edge.fleet import tell
from green_edge.telemetry.store import EventRow
from green_edge_wire import codec
from green_edge_wire.bench import RESULT_FACT, BenchOrder, BenchResult, Trial
from green_edge_wire.errors import DecodeError, DeviceError

# Fetching, starting a process from a slow SD card, and the way of the answer.
_MARGIN_S = 120.0
# What an agent says of a verb that it does not know; see `Orders.command`.
_UNKNOWN_VERB = "unreadable command"


@dataclass(frozen=True, slots=True)
class Served:
    """A file on the artefact server."""

    sha256: str
    length_bytes: int
    url: str


def order(served: Served, trial: Trial) -> str:
    """Argument of the command that has a file measured."""
    return codec.dumps(BenchOrder(served.sha256, served.length_bytes, (served.url,), trial))


def wait_s(trial: Trial) -> float:
    """How long an answer may take."""
    return trial.limit_s + _MARGIN_S


def result_of(device_id: str, event: EventRow) -> BenchResult:
    """The figures in a device's answer.

    Raises:
        DeviceError: the device refused or could not measure, or its agent does not know how.
    """
    text = event.facts.get(RESULT_FACT)
    if tell.obeyed(event) and isinstance(text, str):
        try:
            return codec.loads(BenchResult, text, strict=False)
        except DecodeError as error:
            raise DeviceError(
                f"device {device_id!r} gave figures that this version cannot read: {error.message}"
            ) from error
    if event.kind == "refused" and _UNKNOWN_VERB in event.message:
        raise DeviceError(
            f"the agent of device {device_id!r} cannot measure models",
            hint="install this version of green-edge there",
        )
    raise DeviceError(f"device {device_id!r}: {event.message}")
