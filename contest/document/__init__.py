"""docs/benchmarks.md and its pictures, as they follow from docs/benchmarks.json and from nothing else."""
