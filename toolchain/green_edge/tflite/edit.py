"""Edits the main graph of a .tflite by the schema's objects: new tensors, constants, operations."""

import copy
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

_IDENTIFIER = b"TFL3"


class Editor:
    """A model in pieces.

    Indices of tensors stay what they are, so that signatures stay true; new ones come after them.
    Operations are put into `graph.operators` by the caller, in the order in which they shall run.

    Args:
        tflite: a model that `tflite.read` has accepted.
    """

    def __init__(self, tflite: bytes) -> None:
        self._model = schema.ModelT.InitFromPackedBuf(tflite, 0)
        self._inline_buffers(tflite)
        self.graph = self._model.subgraphs[0]

    def builtin(self, operator: Any) -> int:
        """The schema's number of an operation's type."""
        code = self._model.operatorCodes[operator.opcodeIndex]
        # Codes above 127 stand in the newer field, older files have the older one only.
        return int(max(code.builtinCode, code.deprecatedBuiltinCode))

    def name(self, index: int) -> str:
        """Name of a tensor."""
        name = self.graph.tensors[index].name
        return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name or "")

    def data(self, index: int) -> NDArray[np.uint8] | None:
        """Bytes of a constant tensor; None for what is computed."""
        found = self._model.buffers[self.graph.tensors[index].buffer].data
        return None if found is None or len(found) == 0 else np.asarray(found, np.uint8)

    def tensor_like(self, index: int, suffix: str, shape: Sequence[int]) -> int:
        """Add a tensor of another's type, quantization and, for a constant, content."""
        tensor = copy.deepcopy(self.graph.tensors[index])
        tensor.name = f"{self.name(index)}/{suffix}".encode()
        tensor.shape, tensor.shapeSignature = list(shape), None
        return self._add(tensor)

    def constant_like(self, index: int, suffix: str, values: NDArray[Any]) -> int:
        """Add a constant of another tensor's type and shape, with values of its own."""
        added = self.tensor_like(index, suffix, self.graph.tensors[index].shape)
        self.graph.tensors[added].buffer = self._buffer(values)
        return added

    def computed(self, index: int) -> None:
        """Make a constant a tensor that is computed; its bytes go where no other shares them."""
        tensor, buffer = self.graph.tensors[index], self.graph.tensors[index].buffer
        tensor.buffer = 0
        tensors = (each for graph in self._model.subgraphs for each in graph.tensors)
        if all(each.buffer != buffer for each in tensors):
            self._model.buffers[buffer].data = None

    def whole_numbers(self, name: str, values: Sequence[int] | int) -> int:
        """Add an int32 constant, such as a shape; a single number makes a scalar."""
        tensor = schema.TensorT()
        array = np.asarray(values, np.int32)
        tensor.name, tensor.shape = name.encode(), list(array.shape)
        tensor.type = schema.TensorType.INT32
        tensor.buffer = self._buffer(array)
        return self._add(tensor)

    def operator(
        self, builtin: int, inputs: Sequence[int], outputs: Sequence[int], options: Any = None
    ) -> Any:
        """Make an operation of version 2, which all that are made here have for int8.

        `options` is an object of the schema, such as `ReshapeOptionsT`; its name tells its table.
        """
        operator = schema.OperatorT()
        operator.opcodeIndex = self.code(builtin, 2)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options is not None:
            table = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, table)
            operator.builtinOptions = options
        return operator

    def version(self, operator: Any) -> int:
        """Version of an operation's type that it asks for."""
        return int(self._model.operatorCodes[operator.opcodeIndex].version)

    def code(self, builtin: int, version: int) -> int:
        """Index of a type of operation at a version, added where the file has none."""
        for index, code in enumerate(self._model.operatorCodes):
            number = max(code.builtinCode, code.deprecatedBuiltinCode)
            if number == builtin and code.version == version and not code.customCode:
                return index
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = builtin, min(builtin, 127)
        code.version = version
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1

    def content(self) -> bytes:
        """The file; types of operations that nothing uses any more are left out."""
        operators = [op for graph in self._model.subgraphs for op in graph.operators or []]
        used = sorted({operator.opcodeIndex for operator in operators})
        self._model.operatorCodes = [self._model.operatorCodes[index] for index in used]
        for operator in operators:
            operator.opcodeIndex = used.index(operator.opcodeIndex)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), _IDENTIFIER)
        return bytes(builder.Output())

    def _inline_buffers(self, tflite: bytes) -> None:
        """Take constants that stand behind the flatbuffer, in files over 2 GB, into it."""
        for buffer in self._model.buffers:
            if buffer.offset > 1:
                buffer.data = np.frombuffer(tflite, np.uint8, buffer.size, buffer.offset)
                buffer.offset = buffer.size = 0

    def _add(self, tensor: Any) -> int:
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _buffer(self, values: NDArray[Any]) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1
