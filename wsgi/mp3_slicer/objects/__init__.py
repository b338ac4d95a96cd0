"""Media in object storage: an S3 bucket, or any HTTP origin with ranges. With media in a folder none of it is loaded."""
