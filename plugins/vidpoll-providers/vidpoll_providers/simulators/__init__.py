"""Hand-written faces for the simulator, one module for each provider that is played better than by its samples."""
