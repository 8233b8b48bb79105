"""Measurements that a stranger can regenerate: each module is one command."""
