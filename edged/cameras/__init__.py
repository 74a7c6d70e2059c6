"""Cameras from their settings to their viewers: open on demand, linger, health, state, channel."""
