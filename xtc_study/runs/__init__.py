"""Runs: notebooks executed safely, each once, and the folders that record them. Never imports torch."""
