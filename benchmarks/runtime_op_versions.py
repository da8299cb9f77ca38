"""Asks inference runtimes which versions of which operations they register.

Release notes do not say it; the runtime does: a model whose table names an operation that it does
not register fails to load. One model is made for each operation and version, and loaded by each
interpreter given, in a child process, because a runtime may crash on a custom operation.

    python benchmarks/runtime_op_versions.py PYTHON...

Each PYTHON is an interpreter of an environment that has a runtime (`tflite_runtime`,
`ai_edge_litert` or `tensorflow`). Prints the tables of a file in `targets/data/runtimes/` for each.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

# No operation has come near it; DEQUANTIZE and the like stand below 10, FULLY_CONNECTED at 14.
HIGHEST_VERSION = 24
CUSTOM_OPS = (
    "AudioSpectrogram",
    "Convolution2DTransposeBias",
    "FlexErf",
    "MaxPoolingWithArgmax2D",
    "MaxUnpooling2D",
    "Mfcc",
    "NumericVerify",
    "TFLite_Detection_PostProcess",
    "edgetpu-custom-op",
)
UNRESOLVED = "unresolved custom op"
NO_FLEX = "Select TensorFlow op"
TIMEOUT_S = 300

# Runs in the other environment, so it is text and takes nothing of this project.
CHILD = """
import base64, json, sys
try:
    from tflite_runtime.interpreter import Interpreter
    package = "tflite_runtime"
except ImportError:
    try:
        from ai_edge_litert.interpreter import Interpreter
        package = "ai_edge_litert"
    except ImportError:
        from tensorflow.lite.python.interpreter import Interpreter
        package = "tensorflow_cpu"
import importlib.metadata, platform
print(json.dumps(["", package + " " + importlib.metadata.version(package) + ", "
                  + platform.machine() + ", Python " + platform.python_version()]), flush=True)
for name, text in json.load(sys.stdin).items():
    try:
        Interpreter(model_content=base64.b64decode(text)).allocate_tensors()
        said = "loaded"
    except (ValueError, RuntimeError) as error:
        said = str(error)
    print(json.dumps([name, said]), flush=True)
"""


def model(code: int, version: int, custom: str | None = None) -> bytes:
    """A model with one operation in its table; a custom one is also used, or nobody looks it up."""
    entry: Any = schema.OperatorCodeT()
    entry.builtinCode, entry.version = code, version
    entry.deprecatedBuiltinCode = min(code, 127)
    graph: Any = schema.SubGraphT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [], []
    if custom is not None:
        entry.customCode = custom.encode()
        graph.tensors = [_tensor(b"x"), _tensor(b"y")]
        operator: Any = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
        graph.operators, graph.inputs, graph.outputs = [operator], [0], [1]
    root: Any = schema.ModelT()
    root.version, root.operatorCodes = 3, [entry]
    root.subgraphs, root.buffers = [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(256)
    builder.Finish(root.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(name: bytes) -> Any:
    tensor: Any = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, [1, 4], 0, 0
    return tensor


def ask(python: str, models: Mapping[str, bytes]) -> dict[str, str]:
    """What a runtime says to each model; a model on which it crashed is missing."""
    texts = {name: base64.b64encode(data).decode() for name, data in models.items()}
    done = subprocess.run(
        [python, "-c", CHILD], input=json.dumps(texts), capture_output=True, text=True,
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    return dict(json.loads(line) for line in lines)


def builtins(python: str) -> tuple[str, dict[str, range]]:
    """The runtime's name, and the versions that it registers of each operation."""
    names = {name: code for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}
    models = {
        f"{name} {version}": model(code, version)
        for name, code in names.items()
        for version in range(1, HIGHEST_VERSION + 1)
        if name != "CUSTOM"
    }
    said = ask(python, models)
    registered = {}
    for name in names:
        known = [v for v in range(1, HIGHEST_VERSION + 1) if said.get(f"{name} {v}") == "loaded"]
        if known:
            registered[name] = range(known[0], known[-1] + 1)
            if known != list(registered[name]):
                raise SystemExit(f"{python}: {name} is registered for {known}, with a gap")
    return said[""], registered


def customs(python: str) -> list[str]:
    """Custom operations that the runtime finds; one that then fails or crashes was found too."""
    code = schema.BuiltinOperator.CUSTOM
    found = []
    for name in CUSTOM_OPS:
        said = ask(python, {name: model(code, 1, name)}).get(name, "crashed")
        if UNRESOLVED not in said and NO_FLEX not in said:
            found.append(name)
    return found


def main() -> None:
    """Print the tables of each runtime."""
    for python in sys.argv[1:]:
        title, registered = builtins(python)
        print(f"custom = {json.dumps(customs(python))}\n\n[measured]")
        print(f'date = "{datetime.now(tz=UTC).date().isoformat()}"')
        print('command = "python benchmarks/runtime_op_versions.py PYTHON"')
        print(f'on = "{title}"\n\n# Highest version.\n[ops]')
        for name, versions in sorted(registered.items()):
            print(f"{name} = {versions[-1]}")
        print("\n# Lowest version, where it is not 1.\n[lowest]")
        for name, versions in sorted(registered.items()):
            if versions[0] > 1:
                print(f"{name} = {versions[0]}")


if __name__ == "__main__":
    main()
