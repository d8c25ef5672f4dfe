"""Recipe in, model out: teacher fine-tuning, distillation stages and the chain that joins them."""
