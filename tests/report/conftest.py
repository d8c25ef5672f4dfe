import sys
from pathlib import Path

# fabricate.py serves the tests of analysis and of report, and tests are no package
sys.path.append(str(Path(__file__).parents[1] / "analysis"))
