"""The MLPerf Tiny keyword spotting network in Keras 3, and its inputs without labels."""
