"""What `--recipe auto` finds for the small ResNet in twenty minutes, on images that it never saw.

Then `--replay` of its report into another folder, without the steps of the first run.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from benchmarks import record
from benchmarks.compression import building, rows
from benchmarks.compression.building import REPORT, Build, Builder
from benchmarks.compression.fashion import Files, files
from benchmarks.compression.rows import A72, A76
from benchmarks.fashion import data
from benchmarks.fashion.data import Labelled
from benchmarks.peers import judging
from benchmarks.peers.beside import OURS, SHRUNK
from benchmarks.peers.judging import Counter, Drop
from benchmarks.tables import table

NEEDS: tuple[str, ...] = ()

_NETWORK = "fashion_resnet"
_BEST = f"peers_{_NETWORK}"
_MINUTES, _MAX_DROP_PP, _SEED = 20.0, 1.0, 1
_S_PER_MINUTE = 60


def measure() -> dict[str, Any]:
    """Search, replay, judge on the test images, and count."""
    return measured(files(_NETWORK), data.load().test, _MINUTES)


def measured(
    given: Files,
    judges: Labelled,
    minutes: float,
    build: Builder = building.build,
    counter: Counter = judging.counted,
) -> dict[str, Any]:
    """As `measure`, with so many minutes."""
    common = (*given.data, "--max-drop", str(_MAX_DROP_PP), "--seed", str(_SEED))
    asked = (*common, "--recipe", "auto", "--budget-minutes", str(minutes))
    found = build("auto", given.model, asked, given.inputs)
    report = found.folder / REPORT
    again = build(
        "auto-replay", given.model, (*common, "--replay", str(report)), (*given.inputs, report)
    )
    plain = rows.beside(found, "int8_baseline")
    reference = judging.right(rows.beside(found, "float"), judges)
    search = found.report["search"]
    return {
        "minutes": minutes,
        "max_drop_pp": _MAX_DROP_PP,
        "seed": _SEED,
        "judged_samples": len(judges.y),
        "guard": found.report["guard"],
        "plain": judging.facts(plain) | _counts(plain, counter),
        "auto": rows.figures(found, judges, reference) | _counts(found.model, counter),
        "search": search,
        "steps": found.report["recipe_used"].get("steps", []),
        "replay": _replay(found, again),
        "best": _best(),
    }


def _counts(model: bytes, counter: Counter) -> dict[str, Any]:
    counted = {str(each): rows.instructions([model], each, counter)[0] for each in (A72, A76)}
    return {"instructions": counted}


def _replay(first: Build, again: Build) -> dict[str, Any]:
    return {
        "equal": first.model == again.model,
        "sha256": [hashlib.sha256(build.model).hexdigest() for build in (first, again)],
        "wall_s": again.wall_s,
    }


def _best() -> dict[str, Any] | None:
    """The recorded row of the best recipe on this network; None where there is none yet."""
    path = record.path_of(_BEST)
    if not path.is_file():
        return None
    found = [
        {key: row[key] for key in ("how", "accuracy", "macs", "size_bytes", "instructions")}
        for row in json.loads(path.read_bytes())["figures"]["rows"]
        if row["tool"] == OURS and row["how"].startswith(SHRUNK)
    ]
    return min(found, key=lambda row: row["instructions"][str(A72)], default=None)


def markdown(figures: Mapping[str, Any]) -> str:
    """The choice beside plain int8 and the best recipe, and what the search did."""
    plain, auto, best = figures["plain"], figures["auto"], figures["best"]
    head = ("", "accuracy, %", "MACs /", ".tflite /", "A72 /", "A76 /", "minutes")
    cells = [("auto", *_figures(plain, auto), f"{auto['wall_s'] / _S_PER_MINUTE:.1f}")]
    if best is not None:
        cells.append((f"best recipe ({best['how']})", *_figures(plain, best), "-"))
    return "\n\n".join([_told(figures), table(head, cells), _searched(figures)])


def _figures(plain: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[str, ...]:
    over = [plain[key] / row[key] for key in ("macs", "size_bytes")]
    over += [plain["instructions"][key] / row["instructions"][key] for key in map(str, (A72, A76))]
    return (f"{100 * row['accuracy']:.2f}", *(f"{each:.2f}" for each in over))


def _told(figures: Mapping[str, Any]) -> str:
    auto, guard = figures["auto"], figures["guard"]
    drop = Drop(**auto["drop"])
    return (
        f"`--budget-minutes {figures['minutes']:g} --max-drop {figures['max_drop_pp']:g}`, judged"
        f" on {figures['judged_samples']:,} test images: {drop.drop_pp:+.2f} percentage points"
        f" below float ({drop.words}). The build's own verdict, on {guard['n']:,} validation"
        f" images that did not select: {guard['verdict']}, {guard['drop_pp']:+.2f}"
        f" ({guard['low_pp']:+.2f} to {guard['high_pp']:+.2f}). `/`: how many times smaller than"
        f" plain int8.{_shortfall(figures)}"
    )


def _shortfall(figures: Mapping[str, Any]) -> str:
    auto, best = figures["auto"], figures["best"]
    if best is None:
        return ""
    more = [
        f"{auto['instructions'][key] / best['instructions'][key] - 1:+.0%} on the {core}"
        for core, key in (("A72", str(A72)), ("A76", str(A76)))
    ]
    points = 100 * (auto["accuracy"] - best["accuracy"])
    return (
        f" Beside the best recipe, auto's instructions are {' and '.join(more)}, its accuracy"
        f" {points:+.2f} percentage points."
    )


def _searched(figures: Mapping[str, Any]) -> str:
    search, replay = figures["search"], figures["replay"]
    same = "the same bytes" if replay["equal"] else "other bytes"
    return (
        f"{len(search['trials'])} trials in {search['spent_s'] / _S_PER_MINUTE:.1f} minutes;"
        f" chosen: {search.get('chosen') or 'the unchanged model'}. `--replay` without the steps of"
        f" that run took {replay['wall_s'] / _S_PER_MINUTE:.1f} minutes and gave {same}."
    )
