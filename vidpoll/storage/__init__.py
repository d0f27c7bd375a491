"""What survives a crash: records, the SQLite file, and when something is written to it."""
