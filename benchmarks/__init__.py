"""Benchmarks: `python -m benchmarks` runs all of them, `python -m benchmarks.bm_data_loading` a single one."""
