"""The small file: its format, how it is written and read, and the engines that compute with it."""
