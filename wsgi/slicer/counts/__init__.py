"""What a server counts and notes: numbers that each process keeps in a file of its own and any can add up, and lines of a log."""
