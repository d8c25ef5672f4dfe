"""The report as files: HTML pages, Markdown and PDF, executed notebooks."""
