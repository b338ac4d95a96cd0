"""Sources: safe paths, identity, indexes on disk, open files at hand."""
