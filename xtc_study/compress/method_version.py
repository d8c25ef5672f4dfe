"""The version of the method: by it a report tells runs of an older method from those of today's."""

METHOD_VERSION = 1
"""Bump by hand when the same recipe trains or scores another model than before, though its fields still mean what they
did: a formula put right, batches in another order. Runs and trained steps record it; a run that records another one is
stale and still counts. A change of what a recipe's fields mean bumps ``recipe.VERSION`` in its place, and so every id.
"""
