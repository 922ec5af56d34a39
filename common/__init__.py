"""What every app shares: no models of its own, no imports from an app."""
