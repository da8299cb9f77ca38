"""One finding of `doctor`."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: of what was checked.
        ok: `warn` for what works with a loss, `fail` for what does not work.
        found: what is there.
        remedy: what to do; None when nothing needs to be done.
    """

    name: str
    ok: Verdict
    found: str
    remedy: str | None = None
