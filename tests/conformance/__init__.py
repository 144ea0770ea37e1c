"""The small server that the official protocol suites are run against."""
