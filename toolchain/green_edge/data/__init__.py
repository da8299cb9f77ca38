"""Calibration, training and evaluation sets: .npz, image folder, .csv and Python hook."""
