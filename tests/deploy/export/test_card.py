from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from xtc_study.deploy.export.card import write_export_card
from xtc_study.deploy.export.parity import Agreement
from xtc_study.recipe import Recipe
from xtc_study.runs.find import DoneRun
from xtc_study.tasks.metric_names import f1_of


def test_the_name_of_a_class_does_not_break_the_table(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    rows = [{"split": "dev", "metric": f1_of(1, "spam|ham"), "value": 0.5}]
    run = DoneRun(tmp_path / "a-run", Recipe.of(task="toy-sentiment"), {"rows": rows})
    config = SimpleNamespace(num_labels=2, id2label={0: "ham", 1: "spam|ham"})
    write_export_card(tmp_path / "model.onnx", run, ["input_ids"], 32, config, Agreement(8, 0.1, 0.1, 1.0))
    lines = (tmp_path / "README.md").read_text().splitlines()
    assert lines[lines.index("|---|---|---|") + 1] == "| dev | f1 of spam ham | 0.5000 |"
