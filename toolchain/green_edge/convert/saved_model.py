"""SavedModel folders with a batch of 1; imported by the converter child only."""

import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from green_edge.convert.keras_models import check_static
from green_edge_wire.errors import ModelError

_SIGNATURE = "serving_default"
_GRAPH = "saved_model.pb"


def rewrite_batch_1(source: Path, folder: Path) -> None:
    """Save the serving signature of `source` again in `folder`, with every batch fixed to 1.

    The converter reads variables of a SavedModel on disk but not of a wrapped function in memory
    when it calibrates, so the detour over the disk is needed.

    Raises:
        ModelError: unreadable, without `serving_default`, or with open shapes.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="green-edge-") as place:
            loaded = tf.saved_model.load(str(_without_optimizer(source, Path(place))))
    except (OSError, ValueError, AttributeError, DecodeError, tf.errors.OpError) as error:
        raise ModelError(f"TensorFlow {tf.__version__} cannot load it: {error}") from error
    serving = loaded.signatures.get(_SIGNATURE)
    if serving is None:
        known = ", ".join(loaded.signatures) or "none"
        raise ModelError(
            f"no signature {_SIGNATURE!r} (signatures: {known})",
            hint="export with model.export(), or tf.saved_model.save(..., signatures=...)",
        )
    specs = {
        name: _fixed_spec(name, spec)
        for name, spec in serving.structured_input_signature[1].items()
    }
    module = tf.Module()
    module.inner = loaded
    module.serve = tf.function(_call(serving), autograph=False)
    concrete = module.serve.get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder), signatures={_SIGNATURE: concrete})


def _without_optimizer(source: Path, place: Path) -> Path:
    """A view of a SavedModel without the state of its training.

    Keras 2 saved the optimizer's moments as slots of an optimizer object, which TensorFlow can
    revive by Keras 2 alone.
    """
    model = SavedModel.FromString((source / _GRAPH).read_bytes())
    nodes = [node for graph in model.meta_graphs for node in graph.object_graph_def.nodes]
    if not any(node.slot_variables for node in nodes):
        return source
    for node in nodes:
        del node.slot_variables[:]
    for item in source.absolute().iterdir():
        (place / item.name).symlink_to(item)
    (place / _GRAPH).unlink()
    (place / _GRAPH).write_bytes(model.SerializeToString(deterministic=True))
    return place


def _call(serving: Any) -> Any:
    def serve(**inputs: Any) -> Any:
        return serving(**inputs)

    return serve


def _fixed_spec(name: str, spec: Any) -> Any:
    if spec.shape.rank in (None, 0):
        raise ModelError(
            f"input {name!r} has no known shape", hint="give it one when exporting the SavedModel"
        )
    batch, *sizes = spec.shape.as_list()
    check_static(name, sizes)
    if batch not in (None, 1):
        raise ModelError(
            f"input {name!r} has a fixed batch of {batch}",
            hint="a device infers one sample at a time: leave the batch open or make it 1",
        )
    return tf.TensorSpec((1, *sizes), spec.dtype, name=name)
