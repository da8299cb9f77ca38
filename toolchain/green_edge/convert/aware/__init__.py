"""Short quantization-aware fine-tuning of Keras 3 models; imported by the converter child only.

A student is made of the model's own layers in which batch normalisation is folded into the weights,
weights are rounded as the int8 file rounds them (per channel, symmetric) and activations pass
through a fake quantization of learned range (Jacob et al. 2018, arXiv:1712.05877; learned ranges as
in Jain et al. 2020, arXiv:1903.08066). It learns to give what the float model gives, so no labels
are needed. The converter takes the learned ranges over; what was trained is what ships.
"""
