"""Choices and repairs of full int8 files: ranges, wide layers, biases, equalisation, rounding.

Everything here works on `.tflite` bytes, without TensorFlow, and gives the same bytes for the same
input. The decisions (`ranges`, `leastsquares`, the arithmetic of `equalise`) are plain numpy; the
rest reads and writes files and runs them. docs/quantization.md describes the methods.
"""
