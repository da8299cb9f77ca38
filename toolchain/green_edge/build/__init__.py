"""From a model and a recipe to signed bundles and a report.

`plan` decides what will be done, `pipeline` does it: float model, candidates, measured choice,
guard, golden samples, bundles, report.
"""
