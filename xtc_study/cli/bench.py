"""The commands that time files: xtc-study time | bench. Starts without torch."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from xtc_study.cli.console import err, out, say
from xtc_study.cli.files import Folder, check_packed
from xtc_study.cli.options import Selection
from xtc_study.model_folder import WEIGHTS
from xtc_study.values import one_of

USUAL, CARD_SHAPES = "1x16,1x128,32x128", "1x128,32x128,256x128"
"""Batch shapes of a CPU, and of a GPU, which a small batch does not fill."""
Force = Annotated[bool, typer.Option("--force", help="Write the times even if this machine is busy.")]


def time_files(
    selection: Selection,
    batch: Annotated[
        str, typer.Option(help="Batch shape, sentences x tokens; a length beyond a model's limit is reduced to it.")
    ] = "1x128",
    threads: Annotated[int, typer.Option(min=1, help="Number of threads of each process.")] = 1,
    seconds: Annotated[float, typer.Option(min=0, help="Seconds to measure each file in each pass.")] = 1.0,
    passes: Annotated[
        int, typer.Option(min=1, help="Number of passes over all files; the lowest median is reported.")
    ] = 2,
    again: Annotated[
        bool, typer.Option("--again", help="Also measure files that were already measured on this machine.")
    ] = False,
    force: Force = False,
) -> None:
    """Measure the milliseconds that the files of done runs take on this CPU; collect and report then show them. Files
    that were measured before are skipped. Exits with 1 if a file is damaged. Writes nothing if the machine is busy."""
    from xtc_study.packed.checksums import CheckpointError, read_config, verify

    shapes, _ = batch_shapes(batch, "--batch"), _counts(str(threads))
    if len(shapes) != 1:
        raise ValueError(f"--batch {batch}: expected one shape, for example 1x128")

    # Find the done runs that have a model.
    studies = selection.chosen()
    states = [study.states() for study in studies]
    done = dict.fromkeys(run for one in states for run in one.loc[one["state"] == "done", "run_id"])
    folders = [studies[0].places.runs / run for run in done if (studies[0].places.runs / run / "model").is_dir()]
    if not folders:
        raise ValueError(
            f"no done run with its model in {studies[0].places.runs}; run the study first with xtc-study run"
        )

    # Skip damaged files, whose times would mean nothing.
    sound = []
    for folder in folders:
        try:
            verify(folder / "model", read_config(folder / "model"))
            sound.append(folder)
        except CheckpointError as error:
            err.print(
                f"skipped {folder.name}: {error}; rebuild it with xtc-study run --force", style="red", markup=False
            )

    from xtc_study.deploy.bench.latency import measure_runs

    for run, milliseconds in measure_runs(sound, shapes[0], threads, seconds, passes, again, say, force):
        out.print(f"{milliseconds:9.2f} ms  {run.name}", markup=False)
    out.print(f"runs with a measured time: {len(sound)}; xtc-study collect and report show the times")
    if len(sound) < len(folders):
        raise typer.Exit(1)


def bench_folder(
    folder: Folder,
    teacher: Annotated[
        Path | None,
        typer.Option(help="A float32 model; by default the run's teacher, else a model of the same shape."),
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="cpu|cuda", help="Where to measure; on a GPU, beside fp32 and bf16 in PyTorch.")
    ] = "cpu",
    shapes: Annotated[
        str,
        typer.Option(help="Batch shapes, sentences x tokens; on a GPU 1x128,32x128,256x128 in place of the default."),
    ] = USUAL,
    threads: Annotated[str, typer.Option(help="Numbers of threads to measure with on a CPU.")] = "1,2",
    seconds: Annotated[
        float, typer.Option(min=0, help="Seconds to measure each shape and runtime in each pass.")
    ] = 1.0,
    passes: Annotated[int, typer.Option(min=1, help="Number of passes over all runtimes.")] = 2,
    card: Annotated[bool, typer.Option(help="Write the milliseconds into the folder's model card.")] = True,
    force: Force = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the measurements to this file.")
    ] = None,
) -> None:
    """Measure bytes, memory and milliseconds of a packed model, its float32 teacher and other runtimes. If the machine
    is busy, the times are shown but not written."""
    from xtc_study.deploy.bench.benchmark import bench, check_card, contenders
    from xtc_study.deploy.bench.busy import busy_signs, cores_in_use, refuse_if_busy, why_slow
    from xtc_study.packed.engines.native_build import is_built
    from xtc_study.packed.loading import load
    from xtc_study.packed.text_length import longest_text
    from xtc_study.places import optional_folder

    # Keep the shapes that the model can read.
    check_packed(folder)
    chosen = optional_folder(teacher, "--teacher")
    on_card = one_of("--device", device, ("cpu", "cuda")) == "cuda"
    if on_card and shapes == USUAL:
        shapes = CARD_SHAPES
    sizes, counts = batch_shapes(shapes, "--shapes"), _counts(threads)
    if on_card:
        check_card()
        counts = [1]  # one thread starts the card's work
    longest = longest_text(folder, load(folder, "torch"))
    kept = [shape for shape in sizes if shape[1] <= longest]
    for batch, length in sizes:
        if length > longest:
            err.print(f"skipped {batch}x{length}: the model reads at most {longest} tokens", style="yellow")
    if not kept:
        raise ValueError(f"--shapes {shapes}: the model reads at most {longest} tokens; give a shorter length")

    in_use = cores_in_use()  # before we use any ourselves
    with tempfile.TemporaryDirectory() as workdir:
        say("writing a bf16 copy" if on_card else "exporting to the installed runtimes")
        runtimes, differences = contenders(folder, chosen or _teacher_of(folder), Path(workdir), device)
        frame = bench(runtimes, kept, counts, seconds, passes, say, device)

    measured_on = str(frame["device"].iloc[0])
    table = Table("runtime", "threads", "batch", "MB on disk", "MB loaded", "MB peak", "ms", title=measured_on)
    for row in frame.to_dict("records"):
        numbers = (f"{row['bytes'] / 1e6:.2f}", f"{row['loaded_mb']:.0f}", f"{row['peak_mb']:.0f}", f"{row['ms']:.2f}")
        table.add_row(str(row["name"]), str(row["threads"]), str(row["batch"]), *numbers)
    out.print(table)
    for name, difference in differences.items():
        out.print(f"{name}: logits differ from the packed file's by up to {difference:.3g}")
    if not on_card and (reason := why_slow(frame, is_built())):
        out.print(reason, markup=False)

    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(frame.to_dict("records"), indent=1) + "\n", encoding="utf-8")

    # A busy machine gives a warning or, where times are to be written, an error.
    if not card or force:
        for sign in busy_signs(frame, in_use):
            err.print(f"warning: this machine is busy: {sign}", style="yellow", markup=False)
    if card:
        if not force:
            refuse_if_busy(frame, in_use)
        from xtc_study.deploy.model_card import GPU_SPEED, SPEED, add_speed

        rows: list[dict[str, Any]] = [
            {"runtime": r["name"], "threads": r["threads"], "batch": r["batch"], "ms": f"{r['ms']:.2f}"}
            for r in frame.to_dict("records")
        ]
        add_speed(folder, rows, measured_on, GPU_SPEED if on_card else SPEED)


def batch_shapes(text: str, option: str) -> list[tuple[int, int]]:
    """Read the numbers of sentences and tokens of each shape.

    Raises:
        ValueError: not of the form 1x16,32x128; the message names the option.
    """
    try:
        pairs = [tuple(int(number) for number in shape.split("x")) for shape in text.split(",")]
    except ValueError:
        pairs = []
    if not pairs or any(len(pair) != 2 or min(pair) < 1 for pair in pairs):
        raise ValueError(f"{option} {text}: expected pairs such as 1x16,32x128")
    return [(pair[0], pair[1]) for pair in pairs]


def _teacher_of(folder: Path) -> Path | None:
    """Return the folder of the teacher of a run's model, which is the first step that the run records."""
    try:
        first = json.loads((folder.absolute().parent / "metrics.json").read_text())["steps"][0]
        teacher = folder.absolute().parents[2] / "steps" / Path(str(first)).name
    except (OSError, ValueError, LookupError, TypeError):  # not the folder of a run, or a record of another form
        return None
    return teacher if (teacher / WEIGHTS).is_file() else None


def _counts(text: str) -> list[int]:
    numbers = text.split(",")
    if not all(number.isascii() and number.isdigit() and int(number) > 0 for number in numbers):
        raise ValueError(f"--threads {text}: expected numbers such as 1,2")
    most = max(os.cpu_count() or 1, 2)  # 2 is among the defaults, and does no harm on one core
    if max(map(int, numbers)) > most:
        raise ValueError(f"--threads {text}: expected at most {most}, the number of cores of this machine")
    return [int(number) for number in numbers]
