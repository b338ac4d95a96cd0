"""Fuzzing: whole files, parsers, and the HTTP API, each with a short round in the tests and a long one by `make fuzz`."""
