"""A night's batch: rows of a sheet become videos, each paid once, within a budget."""
