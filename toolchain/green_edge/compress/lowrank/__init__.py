"""Layers split into thinner ones: fewer multiplications where a layer's outputs vary in few ways.

`factors` is the mathematics, `layers` what stands in a layer's place, `inputs` what the samples
say of it, `choose` the ranks, `split` the pass.
"""
