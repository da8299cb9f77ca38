"""The fleet's host side: broker, artefacts, rollouts, and where to find them."""
