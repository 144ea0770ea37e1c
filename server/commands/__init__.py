"""Thin handlers: each names the actor, query or service that a command goes to."""
