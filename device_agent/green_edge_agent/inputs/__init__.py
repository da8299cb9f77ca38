"""Where inputs come from: files replayed at a rate, or requests that want an answer."""
