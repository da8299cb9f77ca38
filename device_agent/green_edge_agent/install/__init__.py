"""Updates: who may order them, whether they may run, how they arrive, where they live."""
