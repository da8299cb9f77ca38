"""Whether two int8 models give the same outputs, in each kernel that a device may run."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

# XNNPACK's kernels, which ai-edge-litert takes by itself, and the built-in ones, which
# tflite-runtime has for int8. The reference kernels run on no device.
KERNELS = (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)


def differing(one: bytes, other: bytes, *, samples: int = 20, seed: int = 0) -> int:
    """Number of output values in which they differ, over seeded random inputs."""
    found = 0
    for kernel in KERNELS:
        pairs = zip(
            _run(one, kernel, samples, seed), _run(other, kernel, samples, seed), strict=True
        )
        found += sum(int((a != b).sum()) for a, b in pairs)
    return found


def _run(model: bytes, kernel: Any, samples: int, seed: int) -> Iterator[NDArray[Any]]:
    net = Interpreter(model_content=model, experimental_op_resolver_type=kernel)
    net.allocate_tensors()
    draw = np.random.default_rng(seed)
    for _ in range(samples):
        for spec in net.get_input_details():
            values = _values(draw, spec["shape"], spec["dtype"])
            net.set_tensor(spec["index"], values)
        net.invoke()
        for spec in net.get_output_details():
            yield net.get_tensor(spec["index"])


def _values(draw: np.random.Generator, shape: Any, dtype: Any) -> Any:
    if np.issubdtype(dtype, np.floating):
        return draw.normal(0, 1, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return draw.integers(max(limits.min, -128), min(limits.max, 255) + 1, shape).astype(dtype)
