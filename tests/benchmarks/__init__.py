"""The benchmarks: that they count and compute what they say."""
