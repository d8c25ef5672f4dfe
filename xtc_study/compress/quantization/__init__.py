"""Quantisation: weights, embeddings and activations of few bits, and the layers that train with them."""
