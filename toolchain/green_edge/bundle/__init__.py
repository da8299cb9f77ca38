"""Packing, signing and verifying; the rules that a device applies are `green_edge_wire`'s."""
