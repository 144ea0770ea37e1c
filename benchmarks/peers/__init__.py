"""Servers that acknowledge echoes, each a program of its own that says where it listens.

Every one lets anybody into the main namespace and answers the event `echo` with its arguments.
"""
