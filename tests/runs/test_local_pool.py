"""Cards of spawned workers; test_executors.py has their deaths and their end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from patience import HANG_SECONDS
from templates import A_SECOND, write_template

from xtc_study.runs import local_pool
from xtc_study.runs.cards import VARIABLE

RUNNER = """
import os
import sys
from pathlib import Path
from xtc_study.recipe import Recipe
from xtc_study.runs import cards
from xtc_study.runs.executors import run_recipes
if __name__ == "__main__":
    folder, seen, workers, count = Path(sys.argv[1]), *map(int, sys.argv[2:])
    cards.driver_cards, cards.torch_has_cuda = lambda: seen, lambda: True
    recipes = [Recipe.of(task="cola", seed=seed) for seed in range(count)]
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    outcomes = list(run_recipes(recipes, folder / "results", folder / "template.ipynb", {}, workers))
    assert [outcome["state"] for outcome in outcomes] == ["done"] * count, outcomes
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before and "torch" not in sys.modules
"""


def test_kernels_of_two_workers_see_one_card_each(tmp_path: Path) -> None:
    """Each run waits until both have begun, so that each worker has one."""
    wait = (
        "import os, time\n"
        "Path(results_dir, f'{claim}.card').write_text(os.environ.get('CUDA_VISIBLE_DEVICES', 'none'))\n"
        "while len(list(Path(results_dir).glob('*.card'))) < 2:\n"
        "    time.sleep(0.01)"
    )
    write_template(tmp_path / "template.ipynb", A_SECOND.replace("time.sleep(1)", wait))
    (tmp_path / "runner.py").write_text(RUNNER)
    environment = {name: text for name, text in os.environ.items() if name != VARIABLE}
    command = [sys.executable, str(tmp_path / "runner.py"), str(tmp_path), "2", "2", "2"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG_SECONDS)
    assert done.returncode == 0, done.stderr
    assert Counter(path.read_text() for path in (tmp_path / "results").glob("*.card")) == {"0": 1, "1": 1}


class BrokenPool:
    """A process pool that breaks before its first job; it keeps how its workers would have begun."""

    begin: tuple[Any, ...]

    def __init__(self, workers: int, mp_context: Any, initializer: Any, initargs: Any) -> None:
        type(self).begin = (workers, initializer, initargs)

    def __enter__(self) -> BrokenPool:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, *_: object) -> None:
        raise BrokenProcessPool


@pytest.mark.parametrize(
    ("before", "cards", "workers", "expected"),
    [
        ("GPU-b,GPU-a,GPU-c", ("GPU-b", "GPU-a", "GPU-c"), 2, ["GPU-b", "GPU-a"]),
        (None, ("0", "1"), 5, ["0", "1", "0", "1", "0"]),
        ("MIG-a,MIG-b", ("MIG-a", "MIG-b"), 2, ["MIG-a", "MIG-b"]),
        ("1", ("1",), 2, ["1", "1"]),
        (None, ("0",), 2, [None, None]),  # one card: the environment stays as it is
        ("", (), 2, ["", ""]),
    ],
)
def test_workers_get_the_cards_in_turn(
    before: str | None,
    cards: tuple[str, ...],
    workers: int,
    expected: list[str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local_pool, "ProcessPoolExecutor", BrokenPool)
    monkeypatch.setattr(local_pool, "_exit_with_parent", lambda: None)
    assert list(local_pool._in_one_pool({"a run": {}}, workers, cards)) == []
    started, initializer, arguments = BrokenPool.begin
    seen = []
    for _ in range(started):
        with pytest.MonkeyPatch.context() as environment:
            environment.delenv(VARIABLE, raising=False)
            if before is not None:
                environment.setenv(VARIABLE, before)
            initializer(*arguments)
            seen.append(os.environ.get(VARIABLE))
    assert seen == expected
