"""Batches: each row of a sheet becomes a video, paid once, within a budget."""
