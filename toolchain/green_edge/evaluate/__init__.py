"""Quality with intervals, the accuracy guard, and latency on this machine."""
