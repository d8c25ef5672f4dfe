"""Distillation: what a student learns from its teacher, and the losses that compare them."""
