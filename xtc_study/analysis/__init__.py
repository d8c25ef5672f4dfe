"""Turn run folders into answers: the tidy frame, intervals, verdicts. Never imports torch."""
