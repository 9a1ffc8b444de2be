"""The defenses of Ringfence in front of a real prediction API, with evidence that lasts."""
