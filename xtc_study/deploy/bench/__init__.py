"""Measure the speed and memory of a packed folder, compared with its teacher and other runtimes."""
