"""The packed file: its format, its writer and loader, and the engines that compute with it."""
