"""The workstation: builds, checks, packs and pushes models, and collects what they spend."""
