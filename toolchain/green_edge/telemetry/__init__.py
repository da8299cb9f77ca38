"""Telemetry on the workstation: collect, keep, merge, report."""
