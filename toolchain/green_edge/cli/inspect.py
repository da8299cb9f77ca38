"""`green-edge inspect`: what a model file or a bundle holds."""

from collections.abc import Sequence
from pathlib import Path

import click

from green_edge.build.inspection import Inspection, inspect
from green_edge.build.model_file import BundleView
from green_edge.cli import render
from green_edge.convert.keras_layers import KerasFile
from green_edge.targets.edgetpu.compiled import Compiled
from green_edge.tflite.model import TfliteModel
from green_edge_wire.manifest import TensorSpec

_WIDTH = 80
_OP_CHARS = 22
_SHAPE_CHARS = 14
_LIBEDGETPU = {14: ", that of libedgetpu 16.0"}


@click.command("inspect", epilog="Example: green-edge inspect model.tflite")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--quick", is_flag=True, help="Of Keras models show the layers alone: no TensorFlow.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(file: Path, *, quick: bool, as_json: bool) -> None:
    """Show what FILE holds: operations, versions, tensors, MACs, parameters and bytes.

    FILE is a .tflite, a Keras file (.keras, .h5), a SavedModel folder or a bundle (.gedge). Of a
    .tflite compiled for the Edge TPU also what is on the chip and which runtime it needs.
    """
    progress = render.Progress()
    found = inspect(file, convert=not quick, progress=progress)
    progress.done()
    if found.bundle is not None and not found.bundle.verified:
        render.say(f"warning: the signature is not verified: {found.bundle.reason}")
    for note in found.notes:
        render.say(f"note: {note}")
    if as_json:
        render.document(found)
    else:
        render.text("\n\n".join(_sections(found)))


def _sections(found: Inspection) -> list[str]:
    sections = [f"{found.file}: {found.kind}\nsha256 {found.sha256}"]
    if found.bundle is not None:
        sections.append(_bundle(found.bundle))
    if found.keras is not None:
        sections.append(_keras(found.keras))
    if found.edgetpu is not None:
        sections.append(_edgetpu(found.edgetpu))
    if found.tflite is not None:
        sections += [_summary(found.tflite), _ops(found.tflite)]
    return sections


def _bundle(view: BundleView) -> str:
    manifest = view.manifest
    state = "verified" if view.verified else "NOT VERIFIED"
    steps = [step.op for step in (*view.pipeline.pre, *view.pipeline.post)]
    lines = [
        f"{manifest.name} version {manifest.version} for {manifest.target}",
        f"built by green-edge {manifest.tool_version or '(unknown version)'}",
        f"signed by {view.key_id}: {state}",
        f"pipeline: {', '.join(steps) or 'none'}",
        f"labels: {_clip(', '.join(view.labels), _WIDTH - 8) or 'none'}",
    ]
    rows = [[m.name, m.role, f"{m.length_bytes:,}", m.sha256[:16]] for m in manifest.members]
    members = render.table(["member", "role", "bytes", "sha256"], rows, right="llrl")
    return "\n".join(lines) + "\n\n" + members


def _edgetpu(compiled: Compiled) -> str:
    runtime = compiled.min_runtime_version
    lines = [
        f"compiled for the Edge TPU, subgraphs: {compiled.subgraphs}",
        f"operations on the CPU: {compiled.cpu_ops}",
        f"parameters cached on the chip: {compiled.cached_bytes:,} bytes",
        f"parameters streamed at every inference: {compiled.streamed_bytes:,} bytes",
        f"lowest runtime version: {runtime}" + _LIBEDGETPU.get(runtime, ""),
        f"code: {compiled.instruction_bytes:,} bytes",
        f"activations a tile: {compiled.narrow_bytes_per_tile:,} bytes",
    ]
    if compiled.scratch_bytes:
        lines.append(f"activations in the host's memory: {compiled.scratch_bytes:,} bytes")
    if compiled.estimated_cycles is not None:
        lines.append(f"the compiler's estimate of compute: {compiled.estimated_cycles:,} cycles")
    return "\n".join(lines)


def _keras(file: KerasFile) -> str:
    head = f"{file.model} of Keras {file.keras_version}: {file.params:,} parameters"
    if not file.layers:
        return head + "\nits layers are code and not in the file"
    rows = [
        [_clip(layer.name, 36), _clip(layer.layer, 28), f"{layer.params:,}"]
        for layer in file.layers
    ]
    return f"{head}\n\n" + render.table(["layer", "class", "params"], rows, right="llr")


def _summary(model: TfliteModel) -> str:
    lines = [
        *_specs("input", model.inputs),
        *_specs("output", model.outputs),
        f"operations {len(model.ops)}, parameters {model.params:,}, MACs {model.macs:,}",
        f"{model.size_bytes:,} bytes, {model.zip_bytes:,} zipped",
    ]
    if model.dynamic:
        lines.append(f"dynamic shape: {', '.join(model.dynamic)}")
    if model.subgraphs > 1:
        lines.append(f"{model.subgraphs - 1} inner graphs (control flow), not in MACs")
    return "\n".join(lines)


def _specs(what: str, specs: Sequence[TensorSpec]) -> list[str]:
    return [
        f"{what} {_clip(spec.name, 24)}: {spec.dtype} {_shape(spec.shape)}"
        + ("" if spec.scale is None else f", scale {spec.scale:.6g}, zero {spec.zero_point}")
        for spec in specs
    ]


def _ops(model: TfliteModel) -> str:
    rows = []
    for op in model.ops:
        output = model.tensors[op.outputs[0]] if op.outputs else None
        name = op.custom_code or op.op
        version = f" v{op.version}"
        rows.append([
            str(op.index),
            _clip(name, _OP_CHARS - len(version)) + version,
            "" if output is None else _clip(_shape(output.shape), _SHAPE_CHARS),
            "" if output is None else output.dtype,
            _short(op.macs),
            _short(op.params),
            _short(op.weight_bytes),
        ])  # fmt: skip
    headers = ["#", "operation", "output", "type", "MACs", "params", "bytes"]
    return render.table(headers, rows, right="rlllrrr")


def _shape(shape: Sequence[int]) -> str:
    return "x".join(str(size) for size in shape) or "scalar"


def _clip(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 2] + ".."


def _short(count: int) -> str:
    """Four digits at most, then thousands, millions, billions; nothing for zero."""
    if count < 10_000:
        return str(count) if count else ""
    for limit, divisor, letter in ((1e6, 1e3, "k"), (1e9, 1e6, "M")):
        if count < limit:
            return f"{count / divisor:.4g} {letter}"
    return f"{count / 1e9:.4g} G"
