"""Says what a profile lacks."""
