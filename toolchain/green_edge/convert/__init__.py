"""From a trained model to a float .tflite, and from there to int8.

The converters can crash, hang or eat all memory, and what they name their tensors depends on what
the process built before. So they run in a child process (`child`), one conversation a model, and
the parent (`worker`) turns every way to fail into one ModelError. Only modules that the child
imports touch TensorFlow or Keras.
"""
