"""The state that survives a crash: records, the SQLite file, and when it is written."""
