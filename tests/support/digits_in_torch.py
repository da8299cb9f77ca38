"""A small network for handwritten digits in PyTorch, trained for seconds; run as a program.

`python -m support.digits_in_torch FOLDER` writes `net.pt2` and `net.onnx` (its weights beside it),
`text.pt2` (int64 ids through an LSTM), `script.pt`, and `train.npz` and `eval.npz` channels last.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

_HELD_BACK = 600


def main(folder: Path) -> None:
    """Train, export and save."""
    torch = importlib.import_module("torch")
    datasets = importlib.import_module("sklearn.datasets")
    digits = datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    x = (digits.images[order, None] / 16).astype(np.float32)
    y = digits.target[order].astype(np.int64)
    parts = {"train": slice(_HELD_BACK, None), "eval": slice(_HELD_BACK)}
    for name, part in parts.items():
        np.savez(folder / f"{name}.npz", x=x[part].transpose(0, 2, 3, 1), y=y[part])
    net = _trained(torch, x[_HELD_BACK:], y[_HELD_BACK:])
    one = (torch.from_numpy(x[:1]),)
    torch.export.save(torch.export.export(net, one), str(folder / "net.pt2"))
    torch.jit.save(torch.jit.trace(net, one), str(folder / "script.pt"))
    torch.onnx.export(
        net, one, str(folder / "net.onnx"), dynamo=False, opset_version=17, input_names=["image"],
        output_names=["scores"], dynamic_axes={"image": {0: "batch"}},
    )  # fmt: skip
    ids = (torch.zeros((1, 6), dtype=torch.int64),)
    torch.export.save(torch.export.export(_text(torch), ids), str(folder / "text.pt2"))


def _trained(torch: Any, x: Any, y: Any) -> Any:
    torch.manual_seed(0)
    nn = torch.nn
    net = nn.Sequential(
        *(nn.Conv2d(1, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(12, 12, 3, padding=1, groups=12), nn.ReLU()),
        *(nn.Conv2d(12, 16, 1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10), nn.Softmax(-1)),
    )
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    inputs, classes = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.nll_loss(torch.log(net(inputs) + 1e-7), classes).backward()
        optimizer.step()
    return net.eval()


def _text(torch: Any) -> Any:
    nn = torch.nn

    class Text(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(50, 8)
            self.lstm = nn.LSTM(8, 6, batch_first=True)
            self.classes = nn.Linear(6, 3)

        def forward(self, ids: Any) -> Any:
            steps, _ = self.lstm(self.words(ids))
            return self.classes(steps[:, -1])

    return Text().eval()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
