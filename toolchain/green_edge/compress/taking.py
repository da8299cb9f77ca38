"""Does one step to a model: what the compress child is for. Imports TensorFlow."""

from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

from green_edge.compress import labels, sample_files, steps
from green_edge.compress.graph import files, read
from green_edge.compress.graph.values import Graph
from green_edge.compress.price import TargetPrices
from green_edge.compress.protocol import REPLY_FILE, StepReply, TakeStep
from green_edge.compress.scene import Scene, Tell
from green_edge.convert import custom, keras_models
from green_edge.convert.worker import part_of
from green_edge.core.report import CostShare
from green_edge.core.steps import Measure
from green_edge.targets import registry
from green_edge_wire import codec
from green_edge_wire.clock import SystemClock
from green_edge_wire.errors import ModelError
from green_edge_wire.units import s_from_ns

# What NumPy's and Keras' generators take for a seed.
_SEEDS = 1 << 32
_MEASURES: tuple[Measure, ...] = ("instructions", "macs", "energy")


def take(request: TakeStep, tell: Tell) -> StepReply:
    """Do a step and leave the model in `request.out`, whole or not at all.

    The same request gives the same weights on the same kind of processor: whatever came before it
    in this process, all starts from files.

    Raises:
        ModelError: the model cannot be read, or the step cannot be done to it.
        ConfigError: the step's parameters or the labels do not fit the model.
    """
    clock = SystemClock()
    start_ns = clock.monotonic_ns()
    tell("opening the model")
    custom.register(request.custom)
    teacher = keras_models.load(request.model)
    _seed(request.seed % _SEEDS)
    original = read.read(teacher)
    graph = original if request.state is None else files.load(request.state)
    prices = TargetPrices(original, [registry.find(target) for target in request.targets])
    scene = _scene(request, original, prices, tell)
    graph, plan = steps.take(graph, request.taken, scene)
    reply = StepReply(
        skipped=tuple(plan.skipped),
        lines=tuple(plan.lines()),
        share=CostShare(*(prices.share(graph, graph.sizes, each) for each in _MEASURES)),
        notes=(*prices.notes, *getattr(plan, "notes", ())),
        ties=tuple(sorted({tie.kept for tie in graph.ties})),
        wall_s=round(s_from_ns(clock.monotonic_ns() - start_ns), 3),
    )
    _leave(graph, reply, request.out)
    return reply


def _seed(seed: int) -> None:
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def _scene(request: TakeStep, original: Graph, prices: TargetPrices, tell: Tell) -> Scene:
    names = [tensor.name for tensor in original.model.inputs]
    train, held = sample_files.read(request.samples, _order(names, request.inputs))
    request.checkpoints.mkdir(parents=True, exist_ok=True)
    return Scene(
        train=labels.fitting(train, original),
        held=labels.fitting(held, original),
        prices=prices,
        teacher=original.model,
        seed=request.seed % _SEEDS,
        folder=request.checkpoints,
        tell=tell,
    )


def _order(wanted: Sequence[str], given: Sequence[str]) -> tuple[int, ...]:
    """Positions among the samples' arrays, in the order of the Keras model's inputs."""
    if set(wanted) != set(given):
        raise ModelError(
            f"the .tflite calls its inputs {', '.join(given)}, Keras {', '.join(wanted)}"
        )
    return tuple(given.index(name) for name in wanted)


def _leave(graph: Graph, reply: StepReply, out: Path) -> None:
    part = part_of(out)
    part.mkdir(parents=True)
    files.save(graph, part)
    (part / REPLY_FILE).write_text(codec.dumps(reply, indent=2) + "\n", encoding="utf-8")
    part.replace(out)
