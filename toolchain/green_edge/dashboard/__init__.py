"""The live dashboard: a fleet page and a page a device, fed by server-sent events."""
