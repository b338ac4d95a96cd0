"""Where sources live: safe paths, identity, the index store, spans of time."""
