"""Instructions of a model on a core, from the shapes of its operations alone."""
