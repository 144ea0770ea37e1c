"""Whole worlds of clients, processes and a database on a virtual clock, from one seed."""
