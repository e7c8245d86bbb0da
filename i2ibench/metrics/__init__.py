"""Scores and the protocols that they cannot be separated from."""
