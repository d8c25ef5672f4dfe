from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from xtc_study.report.pages.script import policy, script


def test_the_script_can_be_embedded_in_a_page() -> None:
    text = script()
    assert "</script" not in text.lower() and "<!--" not in text and "\r" not in text and "\0" not in text
    assert not re.search(r"\bexport\s*\{", text) and "const DataTable = " in text
    assert "SpryMedia" in text  # its licences stay with it


def test_the_policy_of_a_page_allows_its_script(site: Path) -> None:
    page = (site / "index.html").read_text("utf-8")
    (inside,) = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)  # from the first tag to the only end
    digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in page and digest in policy()
    assert "unsafe-eval" not in page and page.count("</script>") == 1
