"""Benchmarks for one GPU, run by `python -m benchmarks gpu` in less than eight minutes, eager steps first."""
