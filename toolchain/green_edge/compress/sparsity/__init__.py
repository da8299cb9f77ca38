"""The smallest weights set to zero, anywhere or a fixed number in every four."""
