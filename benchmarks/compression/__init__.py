"""green-edge's own recipes on trained networks, built as a user builds them."""
