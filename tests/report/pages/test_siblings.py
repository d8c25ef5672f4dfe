from __future__ import annotations

import re
from pathlib import Path

from fabricate import make_done_run, plan_runs
from fabricate_report import EVIL, section

from xtc_study.report.pages.html import write_report
from xtc_study.report.pages.siblings import reports_beside
from xtc_study.report.study import StudyPage


def one(runs: Path, task: str) -> StudyPage:
    planned = plan_runs({"32-bit": 32, "1-bit": 1}, (task,), seeds=2)
    for run in planned:
        make_done_run(runs, run)
    return section(planned, runs)


def hrefs(index: Path) -> list[str]:
    return re.findall(r'<a href="(\.\./[^"]+)">', index.read_text("utf-8"))


def test_reports_side_by_side_link_each_other_whichever_was_written_last(tmp_path: Path) -> None:
    first = write_report(tmp_path / "reports" / "mini", [one(tmp_path / "a", "cola")], profile="mini")
    assert hrefs(first) == []
    study = one(tmp_path / "b", "mrpc")
    second = write_report(tmp_path / "reports" / "mini-mrpc", [study], profile="mini")
    assert hrefs(first) == ["../mini-mrpc/index.html"] and hrefs(second) == ["../mini/index.html"]
    assert reports_beside(first.parent) == [("mini profile: mrpc", "../mini-mrpc/index.html")]
    before = first.read_bytes(), second.read_bytes()
    write_report(tmp_path / "reports" / "mini-mrpc", [study], profile="mini")
    assert (first.read_bytes(), second.read_bytes()) == before


def test_what_is_no_report_is_neither_linked_nor_changed(tmp_path: Path) -> None:
    for name, text in (("site", "<title>My site</title>"), ("old", "<title>XTC Study, mini profile</title> no marks")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(text)
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "index.html").write_text("<title>XTC Study, &lt;script&gt;alert('x')&lt;/script&gt;</title>")
    (tmp_path / "binary").mkdir()
    (tmp_path / "binary" / "index.html").write_bytes(b"\xff\xfe<title>XTC Study, x</title>")
    before = {path: path.read_bytes() for path in tmp_path.glob("*/index.html")}
    index = write_report(tmp_path / "mini", [one(tmp_path / "runs", "cola")])
    assert hrefs(index) == ["../evil/index.html", "../old/index.html"]
    assert EVIL not in index.read_text("utf-8")
    assert {path: path.read_bytes() for path in before} == before
