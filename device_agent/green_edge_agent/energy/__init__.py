"""From a meter's readings to the energy of a window: integration and the sampling thread."""
