"""Bytes to files: which assets, under which names, whole or not there."""
