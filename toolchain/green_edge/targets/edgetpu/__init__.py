"""The Edge TPU as its compiler sees it: what maps, what fits, what a compiled file holds."""
