"""Answers in, pages out: tables, figures, HTML. Never imports torch."""
