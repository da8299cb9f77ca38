"""A .tflite file as values: operations, tensors, multiply-accumulates and bytes. No TensorFlow."""
