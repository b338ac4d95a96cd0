"""Media in object storage: an S3 bucket, or any HTTP origin with ranges. Whoever has a folder loads nothing of this."""
