"""What a check found wrong, as values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that stops a model on a target, or may stop it.

    Attributes:
        what: the fault, in the words of the tool that will meet it where these are known.
        where: operation, tensor or file.
        remedy: what to change.
    """

    what: str
    where: str
    remedy: str
