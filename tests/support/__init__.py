"""What tests share: servers that they start, streams that they cut, and what they compare."""
