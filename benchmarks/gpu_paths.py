"""Run every CUDA path of the project at tiny size, section by section, and write what passed.

    python benchmarks/gpu_paths.py [--output FOLDER] [--only NAME ...] [--again] [--limit S] [--jobs N]
    make test-gpu

Each section (gpu_section.py) runs in a process of its own under its own time limit, so that one that fails or hangs
costs the others nothing. FOLDER/gpu_paths.json is rewritten after each: run the command again and it goes on with the
sections that have not passed with this code on this card. Sections that the total limit leaves no time for are listed.

``--device cpu`` tries the program itself where there is no GPU; sections that need one are then skipped.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from xtc_study.atomic import write_file
from xtc_study.runs.cards import driver_cards, torch_has_cuda
from xtc_study.runs.shares import available_cores

HERE = Path(__file__).resolve().parent
RESULTS = "gpu_paths.json"
FEWEST_SECONDS = 10.0
"""No section begins with less of the total limit left."""
PATIENCE = 10.0
"""How many times as long a section may take on a CPU, where only the program is tried."""
DEVICES = ("cuda", "cpu")


class Section(NamedTuple):
    """One part of the program: what it exercises, and how long it may take."""

    name: str
    limit: float
    """Seconds."""
    what: str
    needs_gpu: bool = False
    alone: bool = False
    """Whether nothing else may run beside it: it measures times, or changes how the card is shared."""


SECTIONS = (
    Section("machine", 40, "card, versions, an exact int8 product"),
    Section("lessons", 90, "one training a lesson, each ending with reload difference 0"),
    Section("graphs", 60, "graphed and plain loss curves agree", needs_gpu=True),
    Section("resume", 40, "an interrupted training resumes from its checkpoint"),
    Section("reload", 60, "gpu_check.py --quick: every format's file gives its student's logits"),
    Section("workers", 60, "three workers share one card"),
    Section("mps", 60, "the same through CUDA MPS, by the recipe of docs/gpu.md", needs_gpu=True, alone=True),
    Section("inference", 60, "a packed model's logits, and xtc-study bench", alone=True),
    Section("plan", 60, "plan all --measure: hours and memory at the paper's scale", alone=True),
    Section("train_step", 90, "train_step.py: our step, plain fine-tuning, the released scripts' step", alone=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=DEVICES)
    parser.add_argument("--output", type=Path, default=Path("results/bench/gpu"), help="folder of the results")
    parser.add_argument(
        "--only", nargs="+", choices=[section.name for section in SECTIONS], help="only these sections"
    )
    parser.add_argument("--again", action="store_true", help="also run sections that have passed")
    parser.add_argument("--limit", type=float, default=230.0, help="seconds for all sections together")
    parser.add_argument("--jobs", type=int, default=4, help="sections at once; those that measure times run alone")
    chosen = parser.parse_args()
    if chosen.device == "cuda" and (missing := why_no_gpu()):
        sys.exit(f"error: {missing}; test-gpu needs a CUDA GPU (--device cpu only tries the program itself)")
    sections = [section for section in SECTIONS if not chosen.only or section.name in chosen.only]
    states = run_sections(sections, chosen)
    sys.exit(0 if set(states.values()) <= {"passed", "skipped"} else 1)


def why_no_gpu() -> str:
    """Return why nothing can run on a GPU here; empty if something can."""
    if not torch_has_cuda():
        return "torch is missing or was built without CUDA"
    if driver_cards():
        return ""
    asked = [sys.executable, "-c", "import torch; print(torch.cuda.is_available())"]
    found = subprocess.run(asked, capture_output=True, text=True).stdout.split()[-1:] == ["True"]
    return "" if found else "neither the driver nor torch shows a card here"


def run_sections(sections: list[Section], chosen: argparse.Namespace) -> dict[str, str]:
    """Run the sections, write the results after each, and return the state of each by name."""
    chosen.output.mkdir(parents=True, exist_ok=True)
    results = Results(chosen.output, chosen.device, code_digest())
    end_of_all = time.monotonic() + chosen.limit
    together = [section for section in sections if not section.alone]
    with ThreadPoolExecutor(chosen.jobs) as pool:
        states = dict(
            zip(together, pool.map(lambda one: outcome(one, results, end_of_all, chosen), together), strict=True)
        )
    for section in sections:
        if section.alone:
            states[section] = outcome(section, results, end_of_all, chosen)
    by_name = {section.name: states[section] for section in sections}
    print(", ".join(f"{list(by_name.values()).count(state)} {state}" for state in dict.fromkeys(by_name.values())))
    return by_name


class Results:
    """The file of the results; sections that run at the same time write to it."""

    def __init__(self, folder: Path, device: str, code: str) -> None:
        self.path, self.device, self.code, self.lock = folder / RESULTS, device, code, Lock()

    def read(self) -> dict[str, Any]:
        """Return the records by section, those of earlier calls too; none if the file is missing or damaged."""
        try:
            return dict(json.loads(self.path.read_text()))
        except (OSError, ValueError, TypeError):
            return {}

    def passed_before(self, section: Section) -> dict[str, Any] | None:
        """Return the record of a section that this code has passed on this device."""
        record: dict[str, Any] = self.read().get(section.name, {})
        ours = (record.get("code"), record.get("device")) == (self.code, self.device)
        return record if ours and record.get("state") == "passed" else None

    def write(self, section: Section, record: dict[str, Any]) -> None:
        """Replace the record of a section."""
        what = {"what": section.what, "device": self.device, "code": self.code}
        record = {**what, "date": datetime.now(UTC).date().isoformat(), **record}
        with self.lock:
            write_file(self.path, json.dumps({**self.read(), section.name: record}, indent=1) + "\n")


def outcome(section: Section, results: Results, end_of_all: float, chosen: argparse.Namespace) -> str:
    """Run a section unless it passed before, and return its state: passed, failed, out of time, skipped, not reached.

    Args:
        section: to run.
        results: receives its record.
        end_of_all: when the total limit is over, in monotonic seconds.
        chosen: the command's arguments.
    """
    if not chosen.again and (before := results.passed_before(section)):
        say(section, "passed before", before["seconds"], before["said"])
        return "passed"
    if section.needs_gpu and chosen.device != "cuda":
        record: dict[str, Any] = {"state": "skipped", "seconds": 0.0, "said": "needs a GPU", "details": {}}
    elif (left := end_of_all - time.monotonic()) < FEWEST_SECONDS:
        say(section, "not reached", 0.0, f"{chosen.limit:g} s are over; the same command goes on here")
        return "not reached"
    else:
        patience = 1.0 if chosen.device == "cuda" else PATIENCE
        record = run_section(section, min(section.limit * patience, left), chosen)
    results.write(section, record)
    say(section, record["state"], record["seconds"], record["said"])
    return str(record["state"])


def run_section(section: Section, limit: float, chosen: argparse.Namespace) -> dict[str, Any]:
    """Run a section in its own process, and return what it found; what a stopped one found so far counts too."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="xtc-gpu-") as workdir:
        found, log = Path(workdir) / "details.json", Path(workdir) / "log.txt"
        words = [section.name, "--device", chosen.device, "--workdir", workdir, "--output", str(chosen.output)]
        command = [sys.executable, str(HERE / "gpu_section.py"), *words]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        if not section.alone:
            environment.setdefault("OMP_NUM_THREADS", str(max(available_cores() // chosen.jobs, 1)))
        with log.open("wb") as stream:
            process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream, start_new_session=True)
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                end(process)
        details = json.loads(found.read_text()) if found.is_file() else {}
        last = log.read_text(errors="replace").strip().splitlines()[-15:]
    skipped = details.pop("skipped", None)
    state = "out of time" if code is None else "failed" if code else "skipped" if skipped else "passed"
    said = skipped or details.pop("said", "") or (f"stopped after {limit:.0f} s" if code is None else "")
    record = {"state": state, "seconds": round(time.monotonic() - started, 1), "limit_s": round(limit, 1)}
    if state in ("failed", "out of time"):
        said = said or (last[-1] if last else "it printed nothing")
        return {**record, "said": said, "details": details, "log": last}
    return {**record, "said": said, "details": details}


def end(process: subprocess.Popen[bytes]) -> None:
    """End a section with every process of its group; workers and kernels end when their parents do."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def code_digest() -> str:
    """Return a digest of the code that sections run: the package's and that of this folder."""
    digest = sha256()
    for root in (HERE.parent / "xtc_study", HERE):
        for path in sorted(root.rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:10]


def say(section: Section, state: str, seconds: float, said: str) -> None:
    print(f"{state:13} {section.name:11} {seconds:6.1f} s  {said or section.what}", flush=True)


if __name__ == "__main__":
    main()
