"""Running a model: the interpreter that is installed, and the arithmetic around it.

The workstation uses the same code, so that a model is judged there by what a device will do.
"""
