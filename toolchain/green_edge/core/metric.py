"""What quality is: the metric of `--metric`."""

import re
from dataclasses import dataclass

from green_edge.core.project import is_hook
from green_edge_wire.errors import ConfigError

# `top-K` besides, with a number for K.
NAMES = ("accuracy", "closeness", "f1", "auc", "mse")
_TOP = re.compile(r"top-([1-9][0-9]{0,5})")
_PLACE = "--metric"


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that the user named.

    Attributes:
        name: one of `NAMES`, `top-K`, or the `module:function` of the user's own.
        k: of `top-K`; 0 for others.
    """

    name: str
    k: int = 0

    @property
    def own(self) -> bool:
        """Whether it is the user's own function."""
        return is_hook(self.name)


def parse_metric(text: str) -> Metric:
    """Metric by its name.

    Raises:
        ConfigError: there is none of that name.
    """
    top = _TOP.fullmatch(text)
    if top is not None:
        return Metric(text, int(top.group(1)))
    if text in NAMES or is_hook(text):
        return Metric(text)
    known = ", ".join((*NAMES, "top-K"))
    raise ConfigError(f"no metric {text!r}", place=_PLACE, hint=f"{known} or module:function")
