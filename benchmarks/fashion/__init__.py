"""Two networks trained on Fashion-MNIST, the subjects of the peers' tables."""
