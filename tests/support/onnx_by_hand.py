"""Two ONNX files made by onnx's helper; run as a program.

`python -m support.onnx_by_hand FOLDER` writes `image.onnx`, a channels-first network of open batch
and two named outputs, and `ids.onnx`, which takes int64 token ids and a sequence.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np


def main(folder: Path) -> None:
    """Build and save."""
    onnx = importlib.import_module("onnx")
    onnx.save(_image(onnx), str(folder / "image.onnx"))
    onnx.save(_ids(onnx), str(folder / "ids.onnx"))


def _image(onnx: Any) -> Any:
    node = onnx.helper.make_node
    nodes = [
        node("Conv", ["in/image", "w0"], ["c0"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", ["c0"], ["r0"]),
        node("Conv", ["r0", "w1"], ["c1"], kernel_shape=[3, 3], group=4),
        node("GlobalAveragePool", ["c1"], ["pooled"]),
        node("Flatten", ["pooled"], ["flat"]),
        node("Gemm", ["flat", "w2"], ["z.scores"], transB=1),
        node("Gemm", ["flat", "w3"], ["a.side"], transB=1),
    ]
    taken = [_value(onnx, "in/image", "FLOAT", ["batch", 3, 12, 10])]
    given = [
        _value(onnx, name, "FLOAT", ["batch", n]) for name, n in (("z.scores", 5), ("a.side", 2))
    ]
    shapes = {"w0": (4, 3, 3, 3), "w1": (4, 1, 3, 3), "w2": (5, 4), "w3": (2, 4)}
    return _model(onnx, nodes, taken, given, shapes)


def _ids(onnx: Any) -> Any:
    node = onnx.helper.make_node
    nodes = [
        node("Gather", ["words", "ids"], ["embedded"]),
        node("Add", ["embedded", "steps"], ["sum"]),
        node("MatMul", ["sum", "w"], ["mixed"]),
        node("ReduceMean", ["mixed"], ["mean"], axes=[1], keepdims=0),
    ]
    taken = [_value(onnx, "ids", "INT64", [1, 6]), _value(onnx, "steps", "FLOAT", [1, 6, 8])]
    return _model(
        onnx, nodes, taken, [_value(onnx, "mean", "FLOAT", [1, 3])], {"words": (50, 8), "w": (8, 3)}
    )


def _value(onnx: Any, name: str, kind: str, shape: list[Any]) -> Any:
    return onnx.helper.make_tensor_value_info(name, getattr(onnx.TensorProto, kind), shape)


def _model(
    onnx: Any,
    nodes: list[Any],
    taken: list[Any],
    given: list[Any],
    shapes: dict[str, tuple[int, ...]],
) -> Any:
    rng = np.random.default_rng(0)
    weights = [
        onnx.numpy_helper.from_array(rng.normal(0, 0.3, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    graph = onnx.helper.make_graph(nodes, "net", taken, given, weights)
    opset = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
