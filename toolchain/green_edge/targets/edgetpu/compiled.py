"""Reads a compiled `_edgetpu.tflite` without the compiler.

Each operation `edgetpu-custom-op` carries a FlexBuffer map whose key `4` is a FlatBuffer with the
identifier DWN1: a package of executables. Its schema is public (executable/executable.fbs of
libedgetpu); the numbers below are the places of its fields.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import compress
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from green_edge.targets.edgetpu.tables import Table, root
from green_edge.tflite.read import read
from green_edge_wire.errors import ModelError

CUSTOM_OP = "edgetpu-custom-op"
_PACKAGE_KEY = "4"
_IDENTIFIER = b"DWN1"
_BROKEN = (struct.error, LookupError, ValueError, TypeError, AttributeError, OverflowError)
_CACHING = 1


class _Package(IntEnum):
    MIN_RUNTIME_VERSION = 0
    EXECUTABLES = 1
    COMPILER_VERSION = 4
    MODEL_IDENTIFIER = 7


class _Executable(IntEnum):
    SCRATCH_BYTES = 4
    INSTRUCTIONS = 5
    PARAMETERS = 6
    CYCLES = 11
    NARROW_BYTES_PER_TILE = 12
    TYPE = 13
    CYCLES_64_BIT = 16


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a compiled file holds.

    Attributes:
        subgraphs: number of `edgetpu-custom-op` nodes.
        cpu_ops: operations left to the CPU.
        cached_bytes: parameters kept on the chip between inferences.
        streamed_bytes: parameters sent to the chip at every inference.
        min_runtime_version: lowest runtime that loads it; libedgetpu 16.0 is 14.
        compiler_version: as stored; release builds store `cl/` alone.
        model_identifier: as stored, mostly empty.
        instruction_bytes: code for the chip.
        scratch_bytes: activations kept in the host's memory.
        narrow_bytes_per_tile: activation memory of a tile, at most 196,608; the most that one of
            its executables uses.
        estimated_cycles: the compiler's own estimate of pure compute at 500 MHz; absent in files
            of newer compilers.
    """

    subgraphs: int
    cpu_ops: int
    cached_bytes: int
    streamed_bytes: int
    min_runtime_version: int
    compiler_version: str
    model_identifier: str
    instruction_bytes: int
    scratch_bytes: int
    narrow_bytes_per_tile: int
    estimated_cycles: int | None = None


def read_compiled(data: bytes) -> Compiled | None:
    """Read a compiled file; None for a model that holds nothing compiled.

    Raises:
        ModelError: no .tflite, or a broken one, or an `edgetpu-custom-op` with broken content.
    """
    ops = read(data, static=False, zipped=False).ops
    nodes = [op.index for op in ops if op.custom_code == CUSTOM_OP]
    if not nodes:
        return None
    try:
        graph = schema.Model.GetRootAs(data, 0).Subgraphs(0)
        packages = [_package(graph.Operators(index).CustomOptionsAsNumpy()) for index in nodes]
        return _compiled(packages, cpu_ops=len(ops) - len(nodes))
    except _BROKEN as error:
        hint = "compile the model again"
        raise ModelError(f"broken {CUSTOM_OP}: {error}", hint=hint) from None


def _package(options: Any) -> Table:
    if not isinstance(options, np.ndarray) or not options.size:
        raise ValueError("it is empty")
    value = flexbuffers.GetRoot(options.tobytes()).AsMap[_PACKAGE_KEY]
    content = bytes(value.AsBlob if value.IsBlob else value.AsStringBytes)
    if content[4:8] != _IDENTIFIER:
        raise ValueError("it holds no package")
    return root(content)


def _compiled(packages: Sequence[Table], *, cpu_ops: int) -> Compiled:
    parts = [
        root(content)
        for package in packages
        for content in root(package.content(_Package.EXECUTABLES)).contents(0)
    ]
    if not parts:
        raise ValueError("it holds no executable")
    caching = (part.number(_Executable.TYPE, "h") == _CACHING for part in parts)
    cached = sum(map(_parameters, compress(parts, caching)))
    cycles = sum(_cycles(part) for part in parts)
    return Compiled(
        subgraphs=len(packages),
        cpu_ops=cpu_ops,
        cached_bytes=cached,
        streamed_bytes=sum(map(_parameters, parts)) - cached,
        min_runtime_version=max(p.number(_Package.MIN_RUNTIME_VERSION) for p in packages),
        compiler_version=packages[0].text(_Package.COMPILER_VERSION),
        model_identifier=packages[0].text(_Package.MODEL_IDENTIFIER),
        instruction_bytes=sum(_instructions(part) for part in parts),
        scratch_bytes=sum(part.number(_Executable.SCRATCH_BYTES) for part in parts),
        narrow_bytes_per_tile=max(p.number(_Executable.NARROW_BYTES_PER_TILE) for p in parts),
        estimated_cycles=cycles or None,
    )


def _parameters(part: Table) -> int:
    return len(part.content(_Executable.PARAMETERS))


def _instructions(part: Table) -> int:
    return sum(len(stream.content(0)) for stream in part.tables(_Executable.INSTRUCTIONS))


def _cycles(part: Table) -> int:
    # The older field holds 32 bits; newer compilers fill the other, or none.
    return part.number(_Executable.CYCLES_64_BIT, "q") or part.number(_Executable.CYCLES)
