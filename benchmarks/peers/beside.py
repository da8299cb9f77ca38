"""What each row saves beside plain int8, and what peers are better at than green-edge."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks.peers.judging import SETTINGS, Drop
from benchmarks.tables import table

# Words by which rows are known again.
OURS, SHRUNK = "green-edge", "shrunk"

Row = Mapping[str, Any]


def markdown(rows: Sequence[Row]) -> list[str]:
    """The second table of the peers and what follows from it; empty for older results."""
    return [*_ratios(rows), *_standing(rows)]


def _ratios(rows: Sequence[Row]) -> list[str]:
    """What each row saves beside plain int8; results from before there was such a table lack it."""
    plain = next((row for row in rows if row["how"] == "int8"), None)
    if plain is None or "drop" not in rows[0]:
        return []
    head = (
        "tool", "", "drop, pp", "95 % interval", "MACs /", ".tflite /", "zipped /",
        *(f"{short(str(setting))} /" for setting in SETTINGS),
    )  # fmt: skip
    cells = [
        (
            row["tool"],
            row["how"],
            f"{row['drop']['drop_pp']:+.2f}",
            Drop(**row["drop"]).words,
            *(_over(plain[key], row[key]) for key in ("macs", "size_bytes", "zip_bytes")),
            *(
                _over(plain["instructions"][key], row["instructions"][key])
                for key in map(str, SETTINGS)
            ),
        )
        for row in rows
    ]
    told = (
        f"Beside {plain['tool']}'s int8: `/` is how many times smaller. Drop: accuracy lost to the"
        " float model on the same images, in percentage points; negative is better."
    )
    return [f"{told}\n\n{table(head, cells)}"]


def _standing(rows: Sequence[Row]) -> list[str]:
    """Of each model that green-edge shrank: which peers are better at something."""
    peers = [row for row in rows if row["tool"] != OURS]
    shrunk = [row for row in rows if row["tool"] == OURS and row["how"].startswith(SHRUNK)]
    said = [
        f"- Beside {OURS} {row['how']}: fewer instructions has"
        f" {_named(peers, partial(_leaner, row))}, more accurate is"
        f" {_named(peers, partial(_righter, row))}."
        for row in shrunk
    ]
    return ["\n".join(said)] if said else []


def _leaner(row: Row, peer: Row) -> bool:
    """Whether a peer takes fewer instructions somewhere, or runs where the row does not."""
    pairs = [(peer["instructions"][key], own) for key, own in row["instructions"].items()]
    return any(
        isinstance(other, int) and (isinstance(own, str) or other < own) for other, own in pairs
    )


def _righter(row: Row, peer: Row) -> bool:
    return bool(peer["accuracy"] > row["accuracy"])


def _named(peers: Sequence[Row], chosen: Callable[[Row], bool]) -> str:
    names = [f"{peer['tool']} {peer['how']}" for peer in peers if chosen(peer)]
    return " and ".join(names) or "no peer"


def _over(plain: int | str, value: int | str) -> str:
    """How many times smaller; neither is where a runtime refuses the model."""
    if isinstance(plain, str) or isinstance(value, str):
        return "-"
    return f"{plain / value:.2f}"


def short(setting: str) -> str:
    """Core and runtime of a setting's words, for the head of a column."""
    runtime, _, _, core, *_ = setting.split()
    return f"{core.removeprefix('cortex-').upper()} {runtime}"
