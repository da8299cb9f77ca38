"""Coral accelerators: what is there, and a child process that alone touches their library."""
