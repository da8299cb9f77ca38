"""tensorflow-model-optimization as its guides call it; runs in an environment with tf_keras.

    PYTHON -m benchmarks.peers.tfmot FOLDER...

Every method starts from the trained network, is fine-tuned for the same number of epochs with the
same falling learning rate, and ends as full int8.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from benchmarks.fashion.batches import BATCH, Images, Labels, batches
from benchmarks.peers.converting import converter, to_int8
from benchmarks.peers.job import Job, read

# Of the fine-tuning: until then sparsity rises, afterwards the rest recovers.
_SPARSITY_REACHED = 0.6
# Steps between two updates of the pruning masks; the library's default.
_MASK_STEPS = 100


def pruned(job: Job) -> bytes:
    """Zeros for the smallest weights, more of them with every step of the schedule."""
    steps = _steps(job)
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=0.0,
        final_sparsity=job.order.amount,
        begin_step=0,
        end_step=round(_SPARSITY_REACHED * steps),
        frequency=min(_MASK_STEPS, max(1, steps // 10)),
    )
    model = tfmot.sparsity.keras.prune_low_magnitude(
        job.network(tf_keras), pruning_schedule=schedule
    )
    _fine_tune(model, job, [tfmot.sparsity.keras.UpdatePruningStep()])
    return to_int8(tf_keras, tfmot.sparsity.keras.strip_pruning(model), job.calibration)


def clustered(job: Job) -> bytes:
    """Few distinct values in every layer."""
    kmeans = tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS
    model = tfmot.clustering.keras.cluster_weights(
        job.network(tf_keras),
        number_of_clusters=round(job.order.amount),
        cluster_centroids_init=kmeans,
    )
    _fine_tune(model, job, [])
    return to_int8(tf_keras, tfmot.clustering.keras.strip_clustering(model), job.calibration)


def quantization_aware(job: Job) -> bytes:
    """Training with int8's rounding in the graph; ranges come from it, not from calibration."""
    model = tfmot.quantization.keras.quantize_model(job.network(tf_keras))
    _fine_tune(model, job, [])
    work = converter(tf_keras, model)
    work.optimizations = [tf.lite.Optimize.DEFAULT]
    work.inference_input_type = work.inference_output_type = tf.int8
    return bytes(work.convert())


def _steps(job: Job) -> int:
    return job.order.epochs * (len(job.y) // BATCH)


def _fine_tune(model: Any, job: Job, callbacks: list[Any]) -> None:
    steps = _steps(job)
    rate = tf_keras.optimizers.schedules.CosineDecay(job.order.rate, steps)
    model.compile(tf_keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    # One epoch over the whole stream: pruning and the schedule count steps.
    model.fit(_stream(job), steps_per_epoch=steps, epochs=1, callbacks=callbacks, verbose=0)


def _stream(job: Job) -> Iterator[tuple[Images, Labels]]:
    rng = np.random.default_rng(job.order.seed)
    for _ in range(job.order.epochs):
        yield from batches(job.x, job.y, rng, shift_px=job.order.shift_px)


def main() -> None:
    """Do the jobs of the folders named."""
    makers = {"prune": pruned, "cluster": clustered, "qat": quantization_aware}
    for job in map(read, map(Path, sys.argv[1:])):
        tf_keras.backend.clear_session()
        tf_keras.utils.set_random_seed(job.order.seed)
        job.out.write_bytes(makers[job.order.method](job))


if __name__ == "__main__":
    main()
