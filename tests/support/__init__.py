"""Helpers that tests share: servers, streams and comparisons."""
