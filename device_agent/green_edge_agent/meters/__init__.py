"""Sources of power: what is on this machine, what it covers, and its readings."""
