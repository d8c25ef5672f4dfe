"""The method: quantisation, distillation and reduction of a pre-trained encoder."""
