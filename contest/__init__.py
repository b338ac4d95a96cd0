"""`make bench-contest`: ways of serving cheap and expensive work from Python, side by side on one machine."""
