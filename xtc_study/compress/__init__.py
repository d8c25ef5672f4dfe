"""The method: quantizers, low-bit layers, layer reduction, distillation taps and losses."""
