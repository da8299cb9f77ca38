"""Which int8 model: the choice among candidates, and the ladder of repairs. Decisions alone."""
