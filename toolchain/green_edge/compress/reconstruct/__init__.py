"""Weights anew by least squares, layer by layer, from samples without labels."""
