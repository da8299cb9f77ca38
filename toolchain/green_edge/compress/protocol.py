"""What the parent asks of a compress child and what it answers: one JSON line each way.

Before its answer the child sends lines that tell how far it is, `convert.protocol.Sign`.
"""

from dataclasses import dataclass
from pathlib import Path

from green_edge.compress.graph.values import Kept
from green_edge.convert.protocol import Reply
from green_edge.core.report import CostShare
from green_edge.core.steps import Step


@dataclass(frozen=True, slots=True)
class TakeStep:
    """Do one step to a model.

    Attributes:
        model: Keras file as it came in; it teaches.
        taken: the step, in one round.
        samples: folder with the samples, as `sample_files.write` leaves it.
        inputs: name of each array of the samples.
        targets: names of the targets; the first that has a cost model gives the prices.
        seed: of every draw of the step.
        checkpoints: folder of the step's own, which survives an interruption.
        out: folder for what is made of the model.
        state: folder that an earlier step left as `out`; None for the model as it came in.
        custom: modules that register Keras objects.
    """

    model: Path
    taken: Step
    samples: Path
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    seed: int
    checkpoints: Path
    out: Path
    state: Path | None = None
    custom: tuple[str, ...] = ()

    @property
    def op(self) -> str:
        """Name for messages."""
        return self.taken.step


@dataclass(frozen=True, slots=True)
class Order:
    """One line to the child."""

    request: TakeStep


@dataclass(frozen=True, slots=True)
class StepReply(Reply):
    """What the child did.

    Attributes:
        lines: of the plan, printable at 80 columns.
        skipped: layers that were left alone.
        share: absent where the step failed.
        wall_s: that the step took.
        notes: on how costs were told.
        ties: what weights of the model must keep from here on, such as `zeros`.
    """

    lines: tuple[str, ...] = ()
    share: CostShare | None = None
    notes: tuple[str, ...] = ()
    wall_s: float = 0.0
    ties: tuple[Kept, ...] = ()


# Name of the file with the reply in the folder that a step leaves.
REPLY_FILE = "reply.json"
# That of the model.
MODEL_FILE = "model.keras"
