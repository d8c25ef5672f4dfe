"""``python -m xtc_study.cli`` is ``xtc-study``."""

from xtc_study.cli import main

main()
