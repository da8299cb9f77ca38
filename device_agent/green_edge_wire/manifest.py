"""The manifest of a bundle, and pre- and post-processing as data.

A bundle (`.gedge`) is a canonical archive (see `archive`): `manifest.json`, its signature
`manifest.sig`, then the members that the manifest lists, in its order.
"""

import math
from dataclasses import dataclass
from typing import Literal

from green_edge_wire.errors import DecodeError

SCHEMA = 1
MANIFEST_MEMBER = "manifest.json"
SIGNATURE_MEMBER = "manifest.sig"
MODEL_MEMBER = "model.tflite"
EDGETPU_MEMBER = "model_edgetpu.tflite"
LABELS_MEMBER = "labels.txt"
PIPELINE_MEMBER = "pipeline.json"
RECORD_MEMBER = "build-record.json"

Dtype = Literal["float32", "int8", "uint8", "int16", "int32", "int64", "bool"]
Role = Literal[
    "model", "edgetpu-model", "labels", "pipeline", "golden-input", "golden-output", "record"
]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of the model as the file declares it; shape is NHWC, batch first."""

    name: str
    shape: tuple[int, ...]
    dtype: Dtype
    scale: float | None = None
    zero_point: int | None = None

    def __post_init__(self) -> None:
        """Refuse shapes and scales that no runtime can hold."""
        if any(size <= 0 for size in self.shape) or math.prod(self.shape) >= 1 << 31:
            raise DecodeError(f"tensor {self.name!r}: shape {self.shape} is not a static shape")
        if self.scale is not None and self.scale <= 0:
            raise DecodeError(f"tensor {self.name!r}: scale must be positive")

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample: without the leading batch axis where that is 1."""
        return self.shape[1:] if self.shape[:1] == (1,) else self.shape


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the bundle besides the manifest and its signature."""

    name: str
    role: Role
    length_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle holds and for what it is made.

    Attributes:
        name: of the model; slots and telemetry go by it.
        version: grows by one with each build whose model bytes differ.
        target: name of the target that the model was built for.
        golden_tolerance: greatest allowed difference of a golden output in steps: of one for an
            integer output (runtimes differ by one), of 1/256 of the recorded range for a float one.
        tool_version: of the green-edge that built it.
        members: in the archive's order.
    """

    name: str
    version: int
    target: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    members: tuple[Member, ...]
    golden_tolerance: float = 1.0
    tool_version: str = ""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        """Refuse a manifest that no device could use."""
        names = [member.name for member in self.members]
        if len(set(names)) != len(names) or [m.role for m in self.members].count("model") != 1:
            raise DecodeError("manifest: members must be distinct, with exactly one model")
        if self.version < 1 or self.schema != SCHEMA:
            raise DecodeError(f"manifest: version {self.version}, schema {self.schema}")

    def member(self, role: Role) -> Member | None:
        """First member with a role; None when the bundle has none."""
        return next((member for member in self.members if member.role == role), None)


@dataclass(frozen=True, slots=True)
class Signature:
    """Content of `manifest.sig`: base64 Ed25519 signature over the bytes of `manifest.json`."""

    key_id: str
    signature: str


@dataclass(frozen=True, slots=True)
class Resize:
    """Resize an image of shape (height, width[, channels]) to `height` x `width`."""

    height: int
    width: int
    method: Literal["bilinear", "nearest"] = "bilinear"
    op: Literal["resize"] = "resize"


@dataclass(frozen=True, slots=True)
class Scale:
    """Multiply by a factor, such as 1/255."""

    factor: float
    op: Literal["scale"] = "scale"


@dataclass(frozen=True, slots=True)
class Normalise:
    """Subtract `mean` and divide by `std`: one value, or one a channel (the last axis)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    op: Literal["normalise"] = "normalise"

    def __post_init__(self) -> None:
        """Refuse a division by zero."""
        if not self.std or any(value <= 0 for value in self.std):
            raise DecodeError("normalise: std must be positive")


@dataclass(frozen=True, slots=True)
class Softmax:
    """Softmax over the last axis."""

    op: Literal["softmax"] = "softmax"


@dataclass(frozen=True, slots=True)
class TopK:
    """The `k` best classes of the last axis, best first, by label."""

    k: int
    op: Literal["top-k"] = "top-k"


PreStep = Resize | Scale | Normalise
PostStep = Softmax | TopK


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Content of `pipeline.json`: from raw inputs to the model's, from its outputs to an answer.

    `pre` applies to the first input, `post` to the first output; quantization to and from the
    model's integer types is the runtime's and not listed here.
    """

    pre: tuple[PreStep, ...] = ()
    post: tuple[PostStep, ...] = ()
    schema: int = SCHEMA
