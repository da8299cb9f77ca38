"""Plain values of the workstation: project file, recipe, reports. No third-party import."""
