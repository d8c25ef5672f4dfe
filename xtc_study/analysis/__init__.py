"""Run folders in, answers out: the tidy frame, intervals, verdicts. Never imports torch."""
