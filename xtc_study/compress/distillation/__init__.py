"""Distillation: the losses between student and teacher, the attention scores they need, and fast dropout."""
