"""Boards that a model is built for, as facts in TOML files."""
