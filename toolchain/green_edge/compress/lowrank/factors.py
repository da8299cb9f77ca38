"""Low-rank approximations of kernels that lose the least of the layer's output variance.

A layer gives `x @ kernel`, where `x` is the input or a patch of it. An approximation is judged by
the variance of the outputs that it loses on the samples, not by the distance of the weights:
directions in which the inputs do not vary cost nothing (Zhang et al. 2016, arXiv:1505.06798).
Every form is an instance of one: a kernel (places, inputs, outputs), whose inputs are projected
alike at every place and whose outputs are expanded from fewer.

    dense, 1 x 1   one place                       project, core
    spatial        places along the width, inputs  project (k x 1), core (1 x k)
                   along the height and channels
    channel        places of the k x k window      project (1 x 1), core (k x k), expand (1 x 1)

Between the parts every channel has a variance of one on the samples, so that one int8 scale suits
them all.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Share of the mean variance of the inputs added to each of them: a direction that a few hundred
# samples did not show is not free.
RIDGE = 1e-3
# Channels with less spread than this share of the widest are not brought to a variance of one.
_LEAST_SPREAD = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """What the samples say of vectors.

    Attributes:
        mean: (n,).
        covariance: (n, n).
    """

    mean: Array
    covariance: Array


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """What stands in a kernel's place; computed in float64.

    Attributes:
        project: (inputs, inner); None where all inputs stay.
        core: (places, inner, outer).
        expand: (outer, outputs); None where all outputs stay.
        shift: (outputs,) to be added to the bias, so that the mean output stays.
    """

    project: Array | None
    core: Array
    expand: Array | None
    shift: Array


class Ladder(Protocol):
    """The approximations of one layer in one form, by their ranks."""

    @property
    def full(self) -> tuple[int, ...]:
        """The ranks at which nothing is lost."""
        ...

    def kept(self, ranks: tuple[int, ...]) -> float:
        """Share of the output variance that is kept, 0 to 1."""
        ...

    def factors(self, ranks: tuple[int, ...]) -> Factors:
        """The parts."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class DenseLadder:
    """A kernel of one place, by the principal directions of its outputs: ranks are (rank,).

    Attributes:
        kernel: (inputs, outputs).
        mean: of the outputs without the bias.
        directions: (outputs, outputs), those with the largest variance first.
        variances: along them.
    """

    kernel: Array
    mean: Array
    directions: Array
    variances: Array

    @property
    def full(self) -> tuple[int, ...]:
        """The rank of a kernel of this shape."""
        return (min(self.kernel.shape),)

    def kept(self, ranks: tuple[int, ...]) -> float:
        """Share of the output variance along the first directions."""
        return _share(self.variances[: ranks[0]].sum(), self.variances.sum())

    def factors(self, ranks: tuple[int, ...]) -> Factors:
        """Onto the first directions and back."""
        first = self.directions[:, : ranks[0]]
        spread = _spread(self.variances[: ranks[0]])
        shift = self.mean - (self.mean @ first) @ first.T
        return Factors(self.kernel @ first / spread, (first * spread).T[None, :, :], None, shift)


def dense_ladder(kernel: Array, outputs: Moments | None, input_variance: float) -> DenseLadder:
    """Approximations of a kernel (inputs, outputs).

    Args:
        kernel: of a dense layer, or of a 1 x 1 convolution.
        outputs: moments of the outputs without the bias; None weighs all inputs alike.
        input_variance: mean variance of an input; not looked at without `outputs`.
    """
    kernel = kernel.astype(np.float64)
    apart = kernel.T @ kernel
    if outputs is None:
        outputs = Moments(np.zeros(kernel.shape[1]), apart)
    else:
        ridge = RIDGE * input_variance
        outputs = Moments(outputs.mean, outputs.covariance + ridge * apart)
    variances, directions = _principal(outputs.covariance)
    return DenseLadder(kernel, outputs.mean, directions, variances)


@dataclass(frozen=True, slots=True, eq=False)
class PatchLadder:
    """A kernel of several places: ranks are (inner, outer).

    Attributes:
        kernel: (places, inputs, outputs).
        mean: (places, inputs) of the patches.
        basis: (inputs, inputs); the columns are the projections, the most telling first.
        rotated: (inputs * places, outputs) kernel in that basis, basis-major.
        root: lower Cholesky factor of the patches' covariance in that basis.
        directions: (outputs, outputs) principal ones of the outputs.
        variances: along them.
        lost: (inputs + 1, outputs + 1) variance that is lost with so many of each.
    """

    kernel: Array
    mean: Array
    basis: Array
    rotated: Array
    root: Array
    directions: Array
    variances: Array
    lost: Array

    @property
    def full(self) -> tuple[int, ...]:
        """All inputs and outputs."""
        return self.kernel.shape[1], self.kernel.shape[2]

    def kept(self, ranks: tuple[int, ...]) -> float:
        """Share of the output variance that is kept."""
        return 1 - _share(self.lost[ranks], self.lost[0, 0])

    def factors(self, ranks: tuple[int, ...]) -> Factors:
        """The first projections and directions, and the core that fits them best."""
        inner, outer = ranks
        places, inputs, outputs = self.kernel.shape
        all_in, all_out = inner == inputs, outer == outputs
        target = self.rotated if all_out else self.rotated @ self.directions[:, :outer]
        core = self._fitted(target, inner * places).reshape(inner, places, -1).swapaxes(0, 1)
        project = None if all_in else self.basis[:, :inner]
        if all_in:
            core = self.kernel if all_out else self.kernel @ self.directions[:, :outer]
        spread = _spread(self.variances[:outer])
        expand = None if all_out else (self.directions[:, :outer] * spread).T
        core = core if all_out else core / spread
        parts = Factors(project, core, expand, np.zeros(outputs))
        shift = np.einsum("pi,pio->o", self.mean, self.kernel - product(parts))
        return Factors(project, core, expand, shift)

    def _fitted(self, target: Array, n: int) -> Array:
        """Least squares on the first `n` rotated inputs: what they foretell of the others stays."""
        foretold = np.linalg.solve(self.root[:n, :n].T, self.root[n:, :n].T)
        fitted: Array = target[:n] + foretold @ target[n:]
        return fitted


def patch_ladder(kernel: Array, patches: Moments | None) -> PatchLadder:
    """Approximations of a kernel (places, inputs, outputs).

    Args:
        kernel: of a convolution, as its form wants it.
        patches: moments of the patches, flattened in the order of the kernel; None weighs all
            inputs alike.
    """
    kernel = kernel.astype(np.float64)
    places, inputs, outputs = kernel.shape
    n = places * inputs
    if patches is None:
        patches = Moments(np.zeros(n), np.eye(n))
    ridge = RIDGE * np.trace(patches.covariance) / n
    covariance = patches.covariance + (ridge + np.finfo(np.float64).tiny) * np.eye(n)
    flat = kernel.reshape(n, outputs)
    basis = _basis(kernel, covariance)
    variances, directions = _principal(flat.T @ covariance @ flat)
    in_places = covariance.reshape(places, inputs, places, inputs)
    turned = np.einsum("piqj,ia,jb->apbq", in_places, basis, basis, optimize=True).reshape(n, n)
    root = np.linalg.cholesky(turned)
    rotated = np.linalg.solve(basis, kernel).swapaxes(0, 1).reshape(n, outputs)
    # What the inputs from the n-th on add beyond those before stands in the n-th rows of
    # root.T @ kernel: the tail of the Cholesky factor is that of the Schur complement.
    beyond = (root.T @ rotated @ directions) ** 2
    by_input = beyond.reshape(inputs, places, outputs).sum(axis=1)
    missing = np.zeros((inputs + 1, outputs + 1))
    missing[:inputs, 1:] = np.cumsum(np.cumsum(by_input[::-1], axis=0)[::-1], axis=1)
    dropped = np.append(np.cumsum(variances[::-1])[::-1], 0.0)
    mean = patches.mean.reshape(places, inputs)
    return PatchLadder(
        kernel, mean, basis, rotated, root, directions, variances, missing + dropped[None, :]
    )


def product(factors: Factors) -> Array:
    """The kernel (places, inputs, outputs) that the parts amount to."""
    kernel = factors.core
    if factors.project is not None:
        kernel = np.einsum("ir,pro->pio", factors.project, kernel)
    if factors.expand is not None:
        kernel = kernel @ factors.expand
    return kernel


def _basis(kernel: Array, covariance: Array) -> Array:
    """Projections of the inputs that are alike at every place: (inputs, inputs).

    Best where the inputs at different places are independent and vary alike; the fit of the core
    makes up for the rest. Each gives a variance of one, the mean over the places.
    """
    places, inputs, _ = kernel.shape
    blocks = covariance.reshape(places, inputs, places, inputs)
    root = np.linalg.cholesky(np.einsum("pipj->ij", blocks) / places)
    weighted = root.T @ kernel.transpose(1, 0, 2).reshape(inputs, -1)
    _, turn = _principal(weighted @ weighted.T)
    basis: Array = np.linalg.solve(root.T, turn)
    return basis


def _principal(covariance: Array) -> tuple[Array, Array]:
    """Variances, the largest first, and the directions as columns."""
    values, vectors = np.linalg.eigh(covariance)
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]


def _spread(variances: Array) -> Array:
    """Standard deviations to divide by; of channels that hardly vary, a share of the widest."""
    widest = np.sqrt(variances.max(initial=0.0)) or 1.0
    spread: Array = np.maximum(np.sqrt(variances), _LEAST_SPREAD * widest)
    return spread


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else 1.0
