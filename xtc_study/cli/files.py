"""The commands about files: xtc-study time | export | predict | bench | build-engine. Starts without torch."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from xtc_study.cli.console import err, out, say
from xtc_study.cli.options import Selection
from xtc_study.model_folder import CONFIG, WEIGHTS
from xtc_study.nearest import did_you_mean

RUNTIMES = ("packed", "onnx", "openvino")
Folder = Annotated[Path, typer.Argument(help="A packed model: the model folder of a run, or an exported folder.")]
EngineName = Annotated[str, typer.Option(metavar="auto|torch|numba|native", help="What computes the packed layers.")]
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


def export_model(
    run: Annotated[str | None, typer.Argument(help="The id of a done run; or use --best.")] = None,
    best: Annotated[
        bool,
        typer.Option(
            "--best",
            help="Choose among the profile's done runs: with --max-mb, the best score; without it, the smallest file "
            "whose score is within one standard deviation over seeds of the best.",
        ),
    ] = False,
    max_mb: Annotated[
        float | None, typer.Option(min=0, help="With --best: only files of at most this many MB (1 MB = 10^6 bytes).")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="With --best: only runs of this task. For your own data: its .yml description."),
    ] = None,
    profile: Annotated[str, typer.Option(help="The scale: smoke, mini or paper.")] = "smoke",
    results: Annotated[Path | None, typer.Option(help="Folder of the results; by default results/<profile>.")] = None,
    to: Annotated[
        str, typer.Option(metavar="|".join(RUNTIMES), help="Format of the file: packed, ONNX (int8) or OpenVINO (u2).")
    ] = "packed",
    rest: Annotated[
        str | None,
        typer.Option(metavar="fp32|fp16|8bit", help="Format of what is not packed; the file is then scored again."),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="A folder in the GLUE download layout, with the rows to score on.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder to write; by default exports/<run id>.")] = None,
) -> None:
    """Copy the packed file of a run out of the results, with its model card, or convert it for another runtime."""
    from xtc_study.places import optional_folder, results_folder, work_folder
    from xtc_study.profiles import load_profile
    from xtc_study.recipe import REST_FORMATS
    from xtc_study.runs.find import best_run, find_run
    from xtc_study.tasks.catalogue import chosen_tasks
    from xtc_study.tasks.metric_names import in_words

    if (run is None) != best:
        raise ValueError("give the id of a run or --best, not both")
    names, files = chosen_tasks([task] if task else [])
    rows_are_read = rest is not None or to in ("onnx", "openvino")
    if not best and (max_mb is not None or (task is not None and not (rows_are_read and files))):
        raise ValueError("--max-mb and --task choose among runs: use them with --best")
    if max_mb is not None and not math.isfinite(max_mb):
        raise ValueError(f"--max-mb {max_mb}: expected a number of MB such as 8; omit it for files of any size")
    if to not in RUNTIMES:
        raise ValueError(f"--to {to}: expected packed, onnx or openvino{did_you_mean(to, RUNTIMES)}")
    if rest is not None and (rest not in REST_FORMATS or to != "packed"):
        near = did_you_mean(rest, REST_FORMATS) if rest not in REST_FORMATS else ""
        raise ValueError(f"--rest {rest}: expected one of {', '.join(REST_FORMATS)}, with --to packed{near}")
    load_profile(profile)  # raises for an unknown profile, and lists those that exist

    # Find the run.
    where = results_folder(profile, results)
    limit = None if max_mb is None else int(max_mb * 1e6)
    if run is None:
        choice = best_run(where, limit, names[0] if names else None)
        out.print(choice.reason, markup=False)
        done = choice.run
    else:
        done = find_run(where, run)

    # Write its file.
    folder = (output or work_folder() / "exports" / done.path.name).absolute()
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")  # before datasets is imported
    if to == "packed":
        from xtc_study.deploy.export.folder import export_packed

        metrics = export_packed(done, folder, rest, optional_folder(data_dir, "data_dir"), files)
        for row in metrics["rows"]:
            out.print(f"{row['split']} {in_words(row['metric'])}: {row['value']:.4f}", markup=False)
        out.print(f"{metrics['size_bytes']:,} bytes on disk; {metrics['size_bytes_paper']:,} by the paper's counting")
    else:
        from xtc_study.deploy.export.folder import export_runtime

        path, agreement = export_runtime(done, folder, to, optional_folder(data_dir, "data_dir"), files)
        size = sum(file.stat().st_size for file in (path, path.with_suffix(".bin")) if file.is_file())
        out.print(f"{size:,} bytes; {agreement}")
        if agreement.made_up:
            err.print(
                f"the data of task {done.recipe.task} were not found: to compare on real rows, give --data-dir, or "
                "--task FILE.yml for your own data",
                style="yellow",
                markup=False,
            )
    out.print(f"exported {done.path.name}: {folder}", markup=False)


def predict_texts(
    folder: Folder,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            help="Sentences; separate the two of a pair with a TAB. Reads lines of standard input if omitted."
        ),
    ] = None,
    engine: EngineName = "auto",
) -> None:
    """Classify sentences with a packed model and print one line of JSON each. A blank line of input gets an error."""
    from xtc_study.deploy.predict import predict_texts

    _check_packed(folder)
    if texts:
        lines = _sentences("text", (os.fsencode(text) for text in texts))
    else:
        lines = _sentences("line", typer.get_binary_stream("stdin"))
    if not any(line.strip() for line in lines):
        raise ValueError("no text: give sentences as arguments or on standard input")
    if texts and not all(line.strip() for line in lines):
        raise ValueError("an empty text: give a sentence in each argument")
    for answer in predict_texts(folder, lines, engine):
        typer.echo(json.dumps(answer, ensure_ascii=False))


def bench_folder(
    folder: Folder,
    teacher: Annotated[
        Path | None,
        typer.Option(help="A float32 model; by default the run's teacher, else a model of the same shape."),
    ] = None,
    shapes: Annotated[str, typer.Option(help="Batch shapes, sentences x tokens.")] = "1x16,1x128,32x128",
    threads: Annotated[str, typer.Option(help="Numbers of threads to measure with.")] = "1,2",
    seconds: Annotated[
        float, typer.Option(min=0, help="Seconds to measure each shape and runtime in each pass.")
    ] = 1.0,
    passes: Annotated[int, typer.Option(min=1, help="Number of passes over all runtimes.")] = 2,
    card: Annotated[bool, typer.Option(help="Write the milliseconds into the folder's model card.")] = True,
    force: Force = False,
) -> None:
    """Measure bytes, memory and milliseconds of a packed model, its float32 teacher and other runtimes. If the machine
    is busy, the times are shown but not written."""
    from xtc_study.deploy.bench.benchmark import bench, contenders
    from xtc_study.deploy.bench.busy import busy_signs, cores_in_use, refuse_if_busy, why_slow
    from xtc_study.hardware import cpu_name
    from xtc_study.packed.engines.native_build import is_built
    from xtc_study.packed.loading import load
    from xtc_study.packed.text_length import longest_text
    from xtc_study.places import optional_folder

    # Keep the shapes that the model can read.
    _check_packed(folder)
    chosen = optional_folder(teacher, "--teacher")
    sizes, counts = batch_shapes(shapes, "--shapes"), _counts(threads)
    longest = longest_text(folder, load(folder, "torch"))
    kept = [shape for shape in sizes if shape[1] <= longest]
    for batch, length in sizes:
        if length > longest:
            err.print(f"skipped {batch}x{length}: the model reads at most {longest} tokens", style="yellow")
    if not kept:
        raise ValueError(f"--shapes {shapes}: the model reads at most {longest} tokens; give a shorter length")

    in_use = cores_in_use()  # before we use any ourselves
    with tempfile.TemporaryDirectory() as workdir:
        say("exporting to the installed runtimes")
        runtimes, differences = contenders(folder, chosen or _teacher_of(folder), Path(workdir))
        frame = bench(runtimes, kept, counts, seconds, passes, say)

    table = Table("runtime", "threads", "batch", "MB on disk", "MB loaded", "MB peak", "ms", title=cpu_name())
    for row in frame.to_dict("records"):
        numbers = (f"{row['bytes'] / 1e6:.2f}", f"{row['loaded_mb']:.0f}", f"{row['peak_mb']:.0f}", f"{row['ms']:.2f}")
        table.add_row(str(row["name"]), str(row["threads"]), str(row["batch"]), *numbers)
    out.print(table)
    for name, difference in differences.items():
        out.print(f"{name}: logits differ from the packed file's by up to {difference:.3g}")
    if reason := why_slow(frame, is_built()):
        out.print(reason, markup=False)

    # A busy machine gives a warning or, where times are to be written, an error.
    if not card or force:
        for sign in busy_signs(frame, in_use):
            err.print(f"warning: this machine is busy: {sign}", style="yellow", markup=False)
    if card:
        if not force:
            refuse_if_busy(frame, in_use)
        from xtc_study.deploy.model_card import add_speed

        rows: list[dict[str, Any]] = [
            {"runtime": r["name"], "threads": r["threads"], "batch": r["batch"], "ms": f"{r['ms']:.2f}"}
            for r in frame.to_dict("records")
        ]
        add_speed(folder, rows, cpu_name())


def build_engine() -> None:
    """Compile the native engine for this machine. Models loaded afterwards use it. Needs a C++ compiler."""
    from xtc_study.packed.engines.native_build import build, instructions

    path = build()
    out.print(f"built with {instructions(path)}: {path}", markup=False)


def _teacher_of(folder: Path) -> Path | None:
    """Return the folder of the teacher of a run's model, which is the first step that the run records."""
    try:
        first = json.loads((folder.absolute().parent / "metrics.json").read_text())["steps"][0]
        teacher = folder.absolute().parents[2] / "steps" / Path(str(first)).name
    except (OSError, ValueError, LookupError, TypeError):  # not the folder of a run, or a record of another form
        return None
    return teacher if (teacher / WEIGHTS).is_file() else None


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


def _check_packed(folder: Path) -> None:
    if not (folder / CONFIG).is_file() and (folder / "model" / CONFIG).is_file():
        raise ValueError(f"{folder}: this is the folder of a run; give its packed model, {folder / 'model'}")
    for file in ("model.onnx", "model.xml"):
        if (folder / file).is_file():
            raise ValueError(
                f"{folder}: this is an export ({file}), not a packed model; its README.md shows how to run it"
            )


def _sentences(what: str, lines: Iterable[bytes]) -> list[str]:
    sentences = []
    for number, line in enumerate(lines, 1):
        try:
            sentences.append(line.decode().rstrip("\r\n"))
        except UnicodeDecodeError:
            raise ValueError(f"{what} {number}: not UTF-8; convert the text to UTF-8") from None
    return sentences


def _counts(text: str) -> list[int]:
    numbers = text.split(",")
    if not all(number.isascii() and number.isdigit() and int(number) > 0 for number in numbers):
        raise ValueError(f"--threads {text}: expected numbers such as 1,2")
    most = max(os.cpu_count() or 1, 2)  # 2 is among the defaults, and does no harm on one core
    if max(map(int, numbers)) > most:
        raise ValueError(f"--threads {text}: expected at most {most}, the number of cores of this machine")
    return [int(number) for number in numbers]
