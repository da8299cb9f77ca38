"""green-edge's rows: its recipes with two seeds, and a control that takes nothing out.

The control is the unpruned network with as many epochs of the same training: what of the accuracy
is the training's, and not the recipe's. `benchmarks/compression/recipes` has both. The validation
images are --eval; the test images, which judge, no build ever sees.
"""

from benchmarks.compression import building
from benchmarks.compression.building import Builder
from benchmarks.compression.fashion import RECIPES, Files, files
from benchmarks.peers.beside import OURS, SHRUNK
from benchmarks.peers.methods import Built, Peer
from benchmarks.peers.subjects import Subject

_SEEDS = (1, 2)


def peers(network: str) -> tuple[Peer, ...]:
    """Rows of a network of benchmarks/fashion: the recipe by seed, the control by seed."""
    recipes = ((network, f"{SHRUNK}, int8"), (f"{network}_control", "control: unpruned, int8"))
    return tuple(_peer(how, recipe, seed) for recipe, how in recipes for seed in _SEEDS)


def built(
    given: Files, recipe: str, seed: int, build: Builder = building.build
) -> tuple[Built, ...]:
    """The one model of a recipe and seed."""
    file = RECIPES / f"{recipe}.toml"
    options = (*given.data, "--recipe", str(file), "--seed", str(seed))
    done = build(f"{recipe}-{seed}", given.model, options, (*given.inputs, file))
    return (Built(done.model, done.wall_s),)


def _peer(how: str, recipe: str, seed: int) -> Peer:
    def build(subject: Subject) -> tuple[Built, ...]:
        return built(files(subject.network), recipe, seed)

    return Peer(OURS, f"{how}, seed {seed}", build)
