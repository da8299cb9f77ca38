"""What the readers of files hand on, before it is checked against a model's inputs."""

from dataclasses import dataclass

from green_edge.data.dataset import Array


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """Arrays as a file or a function gave them; a single input may go by the name `x`."""

    inputs: dict[str, Array]
    y: Array | None = None
    labels: tuple[str, ...] = ()
