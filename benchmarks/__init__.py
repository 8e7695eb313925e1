"""Measurements: each module is run as `python -m benchmarks.NAME` and prints a table.

A figure depends on the machine, so tables hold ratios of things measured side by side in one run.
"""
