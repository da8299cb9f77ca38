"""Takes channels out where that costs the least quality for what it saves on the target."""
