"""The version of the method, by which reports distinguish runs of an older method from current ones."""

METHOD_VERSION = 1
"""Bump this by hand when the same recipe trains or scores a different model although its fields keep their meaning:
after a corrected formula, or batches in another order. Runs and trained steps record it; a run that records another
version is stale but still counts. If the meaning of a recipe field changes, bump ``recipe.VERSION`` instead, which
changes every id.
"""
