"""More training rows by word replacement: from a table of synonyms, or from a masked language model."""
