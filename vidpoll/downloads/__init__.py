"""Saves assets as files: which assets, under which names. A file is whole or not there."""
