"""Hand-written simulators, one module for each provider that needs more than its samples."""
