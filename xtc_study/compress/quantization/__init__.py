"""Quantisation: low-bit weights, embeddings and activations, and the layers that train with them."""
