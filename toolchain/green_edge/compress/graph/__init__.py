"""The graph of a Keras model, its coupled channels, and changes to both."""
