"""The numbers and the request log of a server: each process keeps its numbers in a file, and any process can add them up."""
