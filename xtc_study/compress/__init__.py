"""The method: quantizers, low-bit layers, layer reduction, attention scores and losses of distillation."""
