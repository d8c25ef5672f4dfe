"""Write README.md of an exported folder: inputs and outputs, agreement with the packed file, and how to run it."""

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
    "onnx": "It needs no options. Weights are stored in 8 bits; ONNX Runtime quantises inputs at run time.",
    "openvino": "It needs no options. 1-bit and 2-bit weights are stored in 2 bits, all others in 8 or 32. The file "
    "sets `DYNAMIC_QUANTIZATION_GROUP_SIZE` to 0 (in `rt_info`, under `runtime_options`), because OpenVINO 2026.4.1 "
    "fails on 2-bit weights if it quantises inputs and computes in bf16. If you set that option yourself, also set "
    "`INFERENCE_PRECISION_HINT` to `f32`.",
}


def write_export_card(
    path: Path, run: DoneRun, names: Sequence[str], max_length: int, config: Any, agreement: Agreement
) -> None:
    """Write README.md beside the exported file.

    Args:
        path: the exported file.
        run: the run that was exported.
        names: the file's inputs.
        max_length: maximum tokens of a text.
        config: the packed model's configuration.
        agreement: how the file's logits agree with the packed model's.
    """
    kind = "onnx" if path.suffix == ".onnx" else "openvino"
    files = [file for file in (path, path.with_suffix(".bin")) if file.is_file()]
    labels = [] if config.num_labels == 1 else [str(config.id2label[number]) for number in range(config.num_labels)]
    title = {"onnx": "ONNX", "openvino": "OpenVINO"}[kind]
    sizes = ", ".join(f"`{file.name}` {file.stat().st_size:,} bytes" for file in files)
    outputs = "the value" if not labels else f"one per class: {', '.join(f'`{plain(name)}`' for name in labels)}"

    lines = [
        f"# {plain(run.path.name)} for {title}",
        "",
        f"A student of `{plain(public(run.recipe.model))}` on `{plain(run.recipe.task)}`, exported from its packed "
        f"file by XTC Study: {sizes}.",
        "",
        "## Inputs and outputs",
        "",
        f"- Inputs: {', '.join(f'`{name}`' for name in names)}, each int64 (batch, length), as the tokenizer in this "
        "folder gives them; any batch size, any length up to the one below.",
        f"- Cut texts to {max_length} tokens, as in training: `truncation=True` does so, because the tokenizer "
        "stores that length.",
        f"- Output: `logits`, float32 (batch, {config.num_labels}): {outputs}.",
        f"- {OPTIONS[kind]}",
        "",
        "## Agreement with the packed file",
        "",
        f"Measured at export: {agreement}. The packed file scored:",
        "",
        "| split | metric | packed file |",
        "|---|---|---|",
        *(
            f"| {row['split']} | {plain(in_words(row['metric']))} | {row['value']:.4f} |"
            for row in run.metrics.get("rows", [])
        ),
        "",
        f"XTC Study refuses an export that predicts the packed file's class in fewer than {SAME_CLASS:.0%} of the "
        f"rows, whose logits differ by more than {LOGITS_OFF_BY:.0%} in root mean square, or, for a regression, whose "
        f"values differ by more than {OFF_BY:.0%}.",
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
    show = f"labels = {list(labels)!r}\nprint([labels[row.argmax()] for row in logits])"
    return f"""from pathlib import Path

from transformers import AutoTokenizer

folder = Path(".")  # this folder
tokenizer = AutoTokenizer.from_pretrained(folder)
batch = tokenizer({texts}, padding=True, truncation=True, return_tensors="np")

{RUN_ONNX if kind == "onnx" else RUN_OPENVINO}
{show if labels else "print(logits[:, 0].tolist())"}"""
