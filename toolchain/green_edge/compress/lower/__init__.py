"""What the TF converter makes of each Keras layer, as values."""
