"""The figures of the report and the notebooks, one idea a file, all in one style."""
