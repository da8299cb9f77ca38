"""Trains what a pass left of a model: on labels, on the original's outputs, or on both."""
