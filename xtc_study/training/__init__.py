"""Train a recipe's student: teacher fine-tuning, distillation stages and the chain that joins them."""
