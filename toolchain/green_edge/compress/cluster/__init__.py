"""Few distinct weights in a layer, found by k-means."""
