"""Slicer: sample-exact MP3 clips over HTTP."""

__version__ = "0.1.0"
