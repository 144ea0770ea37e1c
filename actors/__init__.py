"""The rules: one folder per domain, and the runtime that gives each actor one command at a time."""
