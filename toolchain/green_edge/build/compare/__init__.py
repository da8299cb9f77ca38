"""What changed between two models, and whether a gate lets it pass."""
