"""README.md of an exported folder: what the file takes and gives, how near it is to the packed one, how to run it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xtc_study.deploy.export.parity import LOGITS_OFF_BY, OFF_BY, SAME_CLASS, Agreement
from xtc_study.deploy.model_card import plain, public
from xtc_study.runs.find import DoneRun
from xtc_study.tasks.metric_names import in_words

RUN_ONNX = """import onnxruntime

model = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
(logits,) = model.run(None, {port.name: batch[port.name] for port in model.get_inputs()})"""
RUN_OPENVINO = """import openvino

model = openvino.Core().compile_model(folder / "model.xml", "CPU")
logits = model({port.any_name: batch[port.any_name] for port in model.inputs})[0]"""

OPTIONS = {
    "onnx": "No options are needed. The file holds 8-bit weights; inputs are quantised while it runs.",
    "openvino": "No options are needed. Weights of 1 and 2 bits are stored in 2, all else in 8 or 32. The file sets "
    "`DYNAMIC_QUANTIZATION_GROUP_SIZE` to 0 (in `rt_info`, under `runtime_options`), because OpenVINO 2026.4.1 fails "
    "on 2-bit weights where it quantises inputs and computes in bf16: leave that option out, or set "
    "`INFERENCE_PRECISION_HINT` to `f32` beside it.",
}


def write_export_card(
    path: Path, run: DoneRun, names: Sequence[str], max_length: int, config: Any, agreement: Agreement
) -> None:
    """Writes README.md beside ``path``, the exported file.

    Args:
        path: of the exported file.
        run: that it is made of.
        names: the file's inputs.
        max_length: tokens of the longest text.
        config: the packed model's.
        agreement: of its logits with the packed model's.
    """
    kind = "onnx" if path.suffix == ".onnx" else "openvino"
    files = [file for file in (path, path.with_suffix(".bin")) if file.is_file()]
    labels = [] if config.num_labels == 1 else [str(config.id2label[number]) for number in range(config.num_labels)]
    title = {"onnx": "ONNX", "openvino": "OpenVINO"}[kind]
    sizes = ", ".join(f"`{file.name}` {file.stat().st_size:,} bytes" for file in files)
    outputs = "the value" if not labels else f"one a class: {', '.join(f'`{plain(name)}`' for name in labels)}"

    lines = [
        f"# {plain(run.path.name)} for {title}",
        "",
        f"A student of `{plain(public(run.recipe.model))}` on `{plain(run.recipe.task)}`, exported from its packed "
        f"file by XTC Study: {sizes}.",
        "",
        "## Inputs and outputs",
        "",
        f"- Inputs: {', '.join(f'`{name}`' for name in names)}, each int64 (batch, length), as the tokenizer beside "
        "this file gives them; any batch, any length up to the one below.",
        f"- Texts are cut at {max_length} tokens, as in training: `truncation=True` does so, for the tokenizer "
        "knows that length.",
        f"- Output: `logits`, float32 (batch, {config.num_labels}): {outputs}.",
        f"- {OPTIONS[kind]}",
        "",
        "## How near it is",
        "",
        f"Measured when it was exported: {agreement}. The score of the packed file was:",
        "",
        "| split | metric | packed file |",
        "|---|---|---|",
        *(
            f"| {row['split']} | {plain(in_words(row['metric']))} | {row['value']:.4f} |"
            for row in run.metrics.get("rows", [])
        ),
        "",
        f"An export with the packed file's class in fewer than {SAME_CLASS:.0%} of the rows, with logits off by more "
        f"than {LOGITS_OFF_BY:.0%} in root mean square, or with a regression's values off by more than {OFF_BY:.0%}, "
        "is refused.",
        "",
        "## Use",
        "",
        "```python",
        _snippet(kind, getattr(config, "xtc_texts", 1) == 2, labels),
        "```",
    ]

    (path.parent / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _snippet(kind: str, pairs: bool, labels: Sequence[str]) -> str:
    texts = '["a text", "another"], ["its second text", "of this one"]' if pairs else '["a text", "another"]'
    answer = f"labels = {list(labels)!r}\nprint([labels[row.argmax()] for row in logits])"
    return f"""from pathlib import Path

from transformers import AutoTokenizer

folder = Path(".")  # this folder
tokenizer = AutoTokenizer.from_pretrained(folder)
batch = tokenizer({texts}, padding=True, truncation=True, return_tensors="np")

{RUN_ONNX if kind == "onnx" else RUN_OPENVINO}
{answer if labels else "print(logits[:, 0].tolist())"}"""
