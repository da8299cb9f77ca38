"""Small untrained Keras models on disk; run as a program, because TensorFlow stays in children.

`python -m support.tiny_keras FOLDER` writes:

    tiny.keras  image (8, 8, 1) -> 3 classes, with a depthwise convolution
    legacy.h5   the same as Keras 2 wrote it: its depthwise convolution carries `groups`
    exported/   the same as a SavedModel
    trained/    that with the state of an optimizer, as Keras 2 saved it
    two.keras   inputs `a` (4) and `b` (3) -> 2 values
    heads.keras inputs `z` (4) and `a` (3) -> 3 classes, then 5 values: the converter swaps them
    open.keras  an input of open height and width
    lstm.keras  a recurrent layer
    while/      the same as a SavedModel, whose loop the TF converter refuses
"""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def make_models(folder: Path, module: str = "support.tiny_keras") -> Path:
    """Write the models of a module from a child process; returns the folder."""
    from green_edge.convert.worker import child_environment  # noqa: PLC0415 - not in the child

    paths = [ROOT / "toolchain", ROOT / "device_agent", ROOT / "tests"]
    environment = child_environment({"PYTHONPATH": ":".join(map(str, paths)), "PATH": ""})
    subprocess.run(
        [sys.executable, "-m", module, str(folder)],
        env=environment,
        check=True,
        capture_output=True,
    )
    return folder


def main(folder: Path) -> None:
    """Build and save."""
    import keras  # noqa: PLC0415 - seconds of import, for the child alone

    layers = keras.layers
    keras.utils.set_random_seed(3)
    tiny = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", name="scores"),
        ]
    )
    tiny.save(folder / "tiny.keras")
    tiny.save(folder / "legacy.h5")
    _as_keras_2_wrote_it(folder / "legacy.h5")
    tiny.export(folder / "exported", verbose=False)
    shutil.copytree(folder / "exported", folder / "trained")
    _with_an_optimizers_slot(folder / "trained" / "saved_model.pb")
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    joined = layers.Dense(2)(layers.Concatenate()([a, b]))
    keras.Model([a, b], joined).save(folder / "two.keras")
    z, a = keras.Input((4,), name="z"), keras.Input((3,), name="a")
    hidden = layers.Dense(8, activation="relu")(layers.Concatenate()([z, a]))
    heads = [layers.Dense(3, name="z_main")(hidden), layers.Dense(5, name="a_side")(hidden)]
    keras.Model([z, a], heads).save(folder / "heads.keras")
    keras.Model([z, a], heads).export(folder / "heads", verbose=False)
    wide = [keras.Input((None, None, 1)), layers.Conv2D(2, 3), layers.GlobalMaxPooling2D()]
    keras.Sequential(wide).save(folder / "open.keras")
    recurrent = [layers.LSTM(4), layers.Dense(3)]
    loop = keras.Sequential([keras.Input((8, 4), name="steps"), *recurrent])
    loop.save(folder / "lstm.keras")
    loop.export(folder / "while", verbose=False)


def _with_an_optimizers_slot(path: Path) -> None:
    protocol = importlib.import_module("tensorflow.core.protobuf.saved_model_pb2")
    model = protocol.SavedModel.FromString(path.read_bytes())
    nodes = model.meta_graphs[0].object_graph_def.nodes
    variables = [i for i, node in enumerate(nodes) if node.HasField("variable")]
    nodes[0].slot_variables.add(
        original_variable_node_id=variables[0], slot_name="m", slot_variable_node_id=variables[1]
    )
    path.write_bytes(model.SerializeToString())


def _as_keras_2_wrote_it(path: Path) -> None:
    h5py = importlib.import_module("h5py")  # comes with TensorFlow, without types
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "DepthwiseConv2D":
                layer["config"]["groups"] = 1
        file.attrs["model_config"] = json.dumps(config)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
