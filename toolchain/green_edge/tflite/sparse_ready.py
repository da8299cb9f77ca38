"""Which 1 x 1 convolutions of a float model the runtime can run without their zeros.

XNNPACK turns a part of the network to channels-first for its sparse kernels: from a 3 x 3
convolution of stride 2 over 3 channels, through 1 x 1 and depthwise convolutions, additions,
products and activations, to a mean over the image or DEPTH_TO_SPACE. Nothing else may take what is
in between (google/XNNPACK, src/subgraph.c, xnn_check_nchw_compatibility and
xnn_subgraph_rewrite_for_nchw, read 2026-11-24).
"""

from dataclasses import dataclass

from green_edge.tflite.model import Op, TfliteModel

_IMAGE_AXES = 4
_SUMS = ("ADD", "MUL")
_ACTIVATIONS = (
    "RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH", "ELU", "ABS", "NEG", "SQUARE",
)  # fmt: skip
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_COLOURS = 3


@dataclass(frozen=True, slots=True)
class Ready:
    """What can run sparsely.

    Attributes:
        parts: for each part of the network that can, the operations that are its 1 x 1
            convolutions.
        obstacles: what is in the way of the others, in words.
    """

    parts: tuple[tuple[int, ...], ...]
    obstacles: tuple[str, ...]


def ready(model: TfliteModel) -> Ready:
    """Find the parts of a float model that can run sparsely."""
    parts: list[tuple[int, ...]] = []
    obstacles: list[str] = []
    graph = _Graph(model)
    for end in (op for op in model.ops if _ends_images(model, op)):
        found = graph.part(end)
        if isinstance(found, str):
            obstacles.append(found)
        elif kernels := tuple(sorted(op.index for op in found if graph.is_pointwise(op))):
            parts.append(kernels)
    if not parts and not obstacles:
        obstacles.append("no mean over the image ends the convolutions")
    return Ready(tuple(parts), tuple(obstacles))


def _ends_images(model: TfliteModel, op: Op) -> bool:
    """Whether it turns an image that stands channels first to the usual order."""
    if op.op == "MEAN":
        axes = model.tensors[op.inputs[1]].values
        return len(model.tensors[op.inputs[0]].shape) == _IMAGE_AXES and axes in {(1, 2), (2, 1)}
    return op.op == "DEPTH_TO_SPACE"


def _called(op: Op) -> str:
    """A name without those of the operations that the converter made part of it."""
    return f"{op.op} {op.name.partition(';')[0]!r}"


class _Graph:
    """Who makes and who takes each tensor; a PAD before convolutions counts as theirs."""

    def __init__(self, model: TfliteModel) -> None:
        self._model = model
        self._maker = {tensor: op for op in model.ops for tensor in op.outputs}
        self._takers: dict[int, list[Op]] = {}
        convolutions = [op for op in model.ops if op.op in _CONVOLUTIONS]
        pads = {pad.index for op in convolutions if (pad := self._pad(op)) is not None}
        for op in model.ops:
            for tensor in () if op.index in pads else self._images(op):
                self._takers.setdefault(tensor, []).append(op)

    def part(self, end: Op) -> list[Op] | str:
        """Operations from the first convolution to an end, or what is in the way."""
        found = {end.index: end}
        waiting = [end]
        while waiting:
            op = waiting.pop()
            for tensor in self._images(op):
                maker = self._maker.get(tensor)
                if maker is None:
                    return f"{_called(op)} takes the model's input"
                reason = self._reason(maker)
                if reason is not None:
                    return f"{_called(maker)} {reason}"
                if maker.index not in found:
                    found[maker.index] = maker
                    waiting += [] if self._is_first(maker) else [maker]
        for op in found.values():
            takers = [taker for tensor in op.outputs for taker in self._takers.get(tensor, [])]
            if op is not end and any(taker.index not in found for taker in takers):
                return f"{_called(op)} is taken by other operations too"
        return list(found.values())

    def is_pointwise(self, op: Op) -> bool:
        """Whether it is a convolution that looks at one pixel."""
        return op.op == "CONV_2D" and self._window(op) == (1, 1)

    def _reason(self, op: Op) -> str | None:
        """Why an operation cannot run channels first; None where it can."""
        if any(self._model.tensors[i].dtype != "float32" for i in (*op.inputs[:1], *op.outputs)):
            return "is not float32"
        if op.op == "CONV_2D":
            fits = self.is_pointwise(op) and self._geometry(op) == ((1, 1), (0, 0, 0, 0))
            first = "no 1 x 1 of stride 1, no 3 x 3 of stride 2 over 3 channels padded by 1"
            return None if fits or self._is_first(op) else f"is {first}"
        if op.op == "DEPTHWISE_CONV_2D":
            return self._depthwise_reason(op)
        if op.op in _SUMS:
            # XNNPACK refuses a constant beside an image, whatever its shape.
            return None if len(self._images(op)) == len(op.inputs) else "takes a constant"
        image = len(self._model.tensors[op.outputs[0]].shape) == _IMAGE_AXES
        return None if op.op in _ACTIVATIONS and image else "has no sparse form"

    def _depthwise_reason(self, op: Op) -> str | None:
        window, (stride, sides) = self._window(op), self._geometry(op)
        if window not in {(3, 3), (5, 5)} or stride not in {(1, 1), (2, 2)}:
            return "is not 3 x 3 or 5 x 5 of stride 1 or 2"
        if sides != (window[0] // 2,) * 4:
            return "is not padded evenly on all sides"
        inputs = self._model.tensors[self._images(op)[0]].shape[-1]
        same = inputs == self._model.tensors[op.outputs[0]].shape[-1]
        return None if same else "makes several channels of one"

    def _is_first(self, op: Op) -> bool:
        """Whether it turns the image to channels first."""
        if op.op != "CONV_2D" or self._window(op) != (3, 3):
            return False
        channels = self._model.tensors[op.inputs[1]].shape[-1]
        return channels == _COLOURS and self._geometry(op) == ((2, 2), (1, 1, 1, 1))

    def _window(self, op: Op) -> tuple[int, ...]:
        return self._model.tensors[op.inputs[1]].shape[1:3]

    def _geometry(self, op: Op) -> tuple[tuple[int, int] | None, tuple[int, ...] | None]:
        """Stride and padding (top, bottom, left, right); None where it is dilated or unknown."""
        options = op.options
        if options is None or options.dilation not in {None, (1, 1)}:
            return None, None
        pad = self._pad(op)
        if pad is not None:
            sides = self._model.tensors[pad.inputs[1]].values
            whole = sides is not None and options.padding == "VALID" and not any(sides[:2])
            return options.stride, sides[2:6] if sides is not None and whole else None
        if options.padding == "VALID":
            return options.stride, (0, 0, 0, 0)
        # SAME pads evenly at any size only at stride 1, and XNNPACK asks no further.
        height, width = self._window(op)
        even = options.stride == (1, 1) and height % 2 == 1 == width % 2
        sides = (height // 2, height // 2, width // 2, width // 2)
        return options.stride, sides if even else None

    def _pad(self, op: Op) -> Op | None:
        """The PAD before a convolution."""
        maker = self._maker.get(op.inputs[0])
        return maker if maker is not None and maker.op == "PAD" else None

    def _images(self, op: Op) -> list[int]:
        """Tensors of an operation that are computed or the model's inputs."""
        if op.op in _CONVOLUTIONS:
            pad = self._pad(op)
            return [op.inputs[0] if pad is None else pad.inputs[0]]
        return [i for i in op.inputs if i >= 0 and not self._model.tensors[i].constant]
