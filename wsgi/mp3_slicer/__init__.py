"""Slicer: sample-exact MP3 clips over HTTP."""

__version__ = "1.0.0"
