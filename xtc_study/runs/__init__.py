"""Notebooks executed once and safely: run folders, parameters, execution. Never imports torch."""
