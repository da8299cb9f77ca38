"""Small untrained Keras models with recurrent layers or token ids; run as a program.

`python -m support.recurrent_keras FOLDER` writes one file a network:

    lstm.keras           12 steps of 4 -> 3, with dropout
    stacked.keras        two LSTMs, the first gives all steps
    backwards.keras      an LSTM that runs from the end
    bidirectional.keras  two LSTMs joined, which the TF converter gives the wrong scales
    gru.keras, cells.keras
    other.keras          an LSTM with activations that no kernel has
    states.keras         an LSTM that starts from the states of another
    legacy.h5            as Keras 2 wrote it: `time_major` in a wrapped layer
    text.keras           int32 ids, embedded in small numbers, to an LSTM
    masked.keras         the same with a mask and usual numbers
    mixed.keras          ids and numbers to two outputs
    long_lstm.keras, long_gru.keras  300 steps
    real_ids.keras       ids that are declared as float32
"""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

STEPS = 12
WORDS = 50


def main(folder: Path) -> None:
    """Build and save."""
    import keras  # noqa: PLC0415 - seconds of import, for the child alone

    layers = keras.layers
    keras.utils.set_random_seed(3)

    def network(*inner: Any, steps: int = STEPS) -> Any:
        return keras.Sequential([keras.Input((steps, 4), name="steps"), *inner, layers.Dense(3)])

    lstm, gru = layers.LSTM, layers.GRU
    made = {
        "lstm": network(lstm(6, dropout=0.2, recurrent_dropout=0.2)),
        "stacked": network(lstm(6, return_sequences=True), lstm(5)),
        "backwards": network(lstm(6, go_backwards=True, return_sequences=True), layers.Flatten()),
        "bidirectional": network(layers.Bidirectional(lstm(6))),
        "gru": network(gru(6)),
        "cells": network(layers.RNN([layers.LSTMCell(5), layers.GRUCell(4)])),
        "other": network(lstm(6, activation="relu")),
        "states": _states(keras),
        "text": _text(keras, mask=False),
        "masked": _text(keras, mask=True),
        "mixed": _mixed(keras),
        "long_lstm": network(lstm(5), steps=300),
        "long_gru": network(gru(5), steps=300),
        "real_ids": _text(keras, mask=False, dtype="float32"),
    }
    for name, model in made.items():
        model.save(folder / f"{name}.keras")
    made["bidirectional"].save(folder / "legacy.h5")
    _as_keras_2_wrote_it(folder / "legacy.h5")


def _states(keras: Any) -> Any:
    a, b = keras.Input((6, 4), name="a"), keras.Input((6, 3), name="b")
    _, *states = keras.layers.LSTM(5, return_state=True)(a)
    return keras.Model([a, b], keras.layers.Dense(3)(keras.layers.LSTM(5)(b, initial_state=states)))


def _text(keras: Any, *, mask: bool, dtype: str = "int32") -> Any:
    size = keras.initializers.RandomNormal(stddev=0.6) if mask else "uniform"
    embedding = keras.layers.Embedding(WORDS, 8, mask_zero=mask, embeddings_initializer=size)
    inner = [embedding, keras.layers.LSTM(6)]
    ids = keras.Input((STEPS,), dtype=dtype, name="ids")
    return keras.Sequential([ids, *inner, keras.layers.Dense(3)])


def _mixed(keras: Any) -> Any:
    layers = keras.layers
    ids, more = keras.Input((STEPS,), dtype="int32", name="ids"), keras.Input((4,), name="more")
    words = layers.GlobalAveragePooling1D()(layers.Embedding(WORDS, 8)(ids))
    joined = layers.Concatenate()([words, more])
    heads = [layers.Dense(3, activation="softmax")(joined), layers.Dense(1)(joined)]
    return keras.Model([ids, more], heads)


def _as_keras_2_wrote_it(path: Path) -> None:
    h5py = importlib.import_module("h5py")  # comes with TensorFlow, without types
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Bidirectional":
                layer["config"]["layer"]["config"]["time_major"] = False
        file.attrs["model_config"] = json.dumps(config)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
