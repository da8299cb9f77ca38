"""How messages travel: one contract, MQTT behind it."""
