"""The commands about files: xtc-study export | predict | build-engine. Starts without torch."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from xtc_study.cli.console import err, out
from xtc_study.model_folder import CONFIG
from xtc_study.nearest import did_you_mean

RUNTIMES = ("packed", "onnx", "openvino")
Folder = Annotated[Path, typer.Argument(help="A packed model: the model folder of a run, or an exported folder.")]
EngineName = Annotated[str, typer.Option(metavar="auto|torch|numba|native", help="What computes the packed layers.")]


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
    from xtc_study.recipe_xtc import REST_FORMATS
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

    check_packed(folder)
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


def build_engine() -> None:
    """Compile the native engine for this machine. Models loaded afterwards use it. Needs a C++ compiler."""
    from xtc_study.packed.engines.native_build import build, instructions

    path = build()
    out.print(f"built with {instructions(path)}: {path}", markup=False)


def check_packed(folder: Path) -> None:
    """Check that a folder is no run's folder and no export, which users give for a packed model.

    Raises:
        ValueError: it is one; the message names the folder that was meant.
    """
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
