"""Pack and sign: the same contents and key give the same bytes."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from green_edge.bundle.keys import SigningKey, trusting
from green_edge_wire import __version__, archive, codec
from green_edge_wire.errors import ModelError
from green_edge_wire.manifest import (
    MANIFEST_MEMBER,
    SIGNATURE_MEMBER,
    Manifest,
    Member,
    Pipeline,
    TensorSpec,
)


@dataclass(frozen=True, slots=True)
class BundleContents:
    """What goes into a bundle.

    Attributes:
        name: of the model.
        version: of the model.
        target: name of the target that the model was built for.
        model: the `.tflite` file, for the CPU.
        inputs: as the file declares them.
        outputs: as the file declares them.
        golden_inputs: one array an input, in its dtype; axis 0 counts the samples, the others are
            the tensor's without its batch axis of 1.
        golden_outputs: what the model gave for them, likewise.
        record: the build record as JSON.
        pipeline: pre- and post-processing.
        labels: names of the classes; empty for none.
        golden_tolerance: see the manifest.
        edgetpu_model: the same model from the Edge TPU compiler, where it was compiled.
    """

    name: str
    version: int
    target: str
    model: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    golden_inputs: tuple[NDArray[Any], ...]
    golden_outputs: tuple[NDArray[Any], ...]
    record: bytes
    pipeline: Pipeline = field(default_factory=Pipeline)
    labels: tuple[str, ...] = ()
    golden_tolerance: float = 1.0
    edgetpu_model: bytes | None = None


def pack(contents: BundleContents, signer: SigningKey) -> bytes:
    """Make the bundle, and open it again as a device would before it leaves.

    Raises:
        ModelError: golden arrays or labels that do not fit the model.
        ArtifactError: over the format's bounds.
    """
    _check_labels(contents.labels)
    _check_golden(contents.inputs, contents.golden_inputs, "input")
    _check_golden(contents.outputs, contents.golden_outputs, "output")
    members = _members(contents)
    manifest = codec.dumps(_manifest(contents, members)).encode()
    signature = archive.signature_member(signer.key_id, signer.sign(manifest))
    head = [(MANIFEST_MEMBER, manifest), (SIGNATURE_MEMBER, signature)]
    data = archive.canonical([*head, *((member.name, content) for member, content in members)])
    archive.open_bundle(data, trusting([signer.public]))
    return data


def _members(contents: BundleContents) -> list[tuple[Member, bytes]]:
    files = [contents.model]
    if contents.edgetpu_model is not None:
        files.append(contents.edgetpu_model)
    if contents.labels:
        files.append("".join(f"{label}\n" for label in contents.labels).encode())
    files.append(codec.dumps(contents.pipeline).encode())
    files += [_npy(array) for array in (*contents.golden_inputs, *contents.golden_outputs)]
    files.append(contents.record)
    names = archive.layout_of(
        labelled=bool(contents.labels),
        edgetpu=contents.edgetpu_model is not None,
        inputs=len(contents.inputs),
        outputs=len(contents.outputs),
    )
    return [
        (Member(name, role, len(content), hashlib.sha256(content).hexdigest()), content)
        for (role, name), content in zip(names, files, strict=True)
    ]


def _manifest(contents: BundleContents, members: Sequence[tuple[Member, bytes]]) -> Manifest:
    return Manifest(
        name=contents.name,
        version=contents.version,
        target=contents.target,
        inputs=contents.inputs,
        outputs=contents.outputs,
        members=tuple(member for member, _ in members),
        golden_tolerance=contents.golden_tolerance,
        tool_version=__version__,
    )


def _npy(array: NDArray[Any]) -> bytes:
    """Array as a version 1.0 `.npy` file, C order, little-endian."""
    file = io.BytesIO()
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    np.lib.format.write_array(file, little, version=(1, 0), allow_pickle=False)
    return file.getvalue()


def _check_labels(labels: Sequence[str]) -> None:
    for label in labels:
        if not label or "\n" in label:
            raise ModelError(f"{label!r} cannot be a label", hint="a label is one line of text")


def _check_golden(specs: Sequence[TensorSpec], arrays: Sequence[NDArray[Any]], what: str) -> None:
    if len(specs) != len(arrays):
        raise ModelError(f"{len(arrays)} golden {what}s for a model of {len(specs)}")
    for spec, array in zip(specs, arrays, strict=True):
        wanted = (max(1, len(array)), *spec.sample_shape)
        if array.dtype != np.dtype(spec.dtype) or array.shape != wanted:
            raise ModelError(
                f"golden {what} {spec.name!r} is {array.dtype} {array.shape}, "
                f"the model takes {spec.dtype} {wanted}"
            )
