"""Unusual right solutions: what the checks must accept."""
