"""The device: installs signed bundles, runs inference, measures energy, reports over MQTT."""
