"""Makes a trained Keras model cheaper: takes channels out, factorises, ties weights, recovers.

Every pass plans, which decides and touches nothing, and then applies its plan to a copy. `graph`
says what belongs together; `child` is the process in which TensorFlow runs.
"""
