"""Every example of docs/your_data.md is read, and every key of a description is on that page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from xtc_study.tasks.metric_names import CLASS_METRICS, SCORE_METRICS
from xtc_study.tasks.user.dataset import OwnData, read_own
from xtc_study.tasks.user.description import Description

PAGE = (Path(__file__).parents[3] / "docs" / "your_data.md").read_text(encoding="utf-8")
EXAMPLES = {
    re.findall(r"^name: (\w+)", text, re.MULTILINE)[0]: text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    numbers = range(40)
    frame = pd.DataFrame(
        {
            "review": [f'review "{number}"' for number in numbers],
            "verdict": [["bad", "good"][number % 2] for number in numbers],
            "subject": "hello",
            "body": [f"body {number}" for number in numbers],
            "kind": [["urgent", "later", "never"][number % 3] for number in numbers],
        }
    )
    for name in ("train.csv", "mail.csv"):
        frame.to_csv(folder / name, index=False)
    frame[:10].assign(body="other").to_csv(folder / "dev.csv", index=False)
    frame.to_csv(folder / "tabs.tsv", sep="\t", index=False)
    frame[:10].to_csv(folder / "tabs_dev.tsv", sep="\t", index=False)
    offers = ({"offer": f"offer {number}", "price": 100_000 + 1000 * number} for number in numbers)
    (folder / "prices.jsonl").write_text("\n".join(map(json.dumps, offers)))
    return folder


def read(folder: Path, name: str) -> OwnData:
    (folder / f"{name}.yml").write_text(EXAMPLES[name], encoding="utf-8")
    return read_own(folder / f"{name}.yml")


def test_every_example_is_read(folder: Path) -> None:
    found = {name: read(folder, name) for name in EXAMPLES}
    assert found["reviews"].task.metrics == ("accuracy", "f1_of:1:good", "macro_f1", "matthews")
    assert found["mail"].task.metrics == ("macro_f1", "f1_of:2:urgent") and len(found["mail"].task.text_fields) == 2
    assert found["mail"].counts()["urgent"] == {"train": 11, "dev": 3}
    assert found["tabs"].splits["dev"].texts[0][0] == 'review "0"'
    assert (
        found["prices"].task.metrics == ("pearson", "mae", "rmse") and len(found["prices"].splits["dev"].labels) == 10
    )


def test_every_key_and_metric_is_explained() -> None:
    tables = " ".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)`", tables)) == set(Description.model_fields) - {"name", "question"}
    assert all(f"`{metric}`" in PAGE for metric in (*CLASS_METRICS, *SCORE_METRICS))
