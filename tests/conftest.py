"""Settings of the whole suite."""

from hypothesis import settings

# The same examples in every run, and no per-example deadline: a loaded machine is not a bug.
settings.register_profile("suite", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("suite")
