"""The benchmarks: VnPy Core beside the packages its users have today, measured in turn on one machine."""
