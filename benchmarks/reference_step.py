"""The distil + 1-bit step of the paper's released scripts, the reference for the speed of ours.

Reimplemented from their description, to do the same and be no slower. Everything is in fp32, and rows are padded to
128. Attention is computed in single operations, and its scores include the mask of -10000. Plain tensor operations
quantise every weight matrix and the whole word table in each forward pass. The teacher runs on every batch, every loss
covers padding too, AdamW updates parameter by parameter, and gradients are clipped to a norm of 1.

As in the released XTC configs, the linear layers and the word table are quantised to 1 bit (one scale per matrix, one
per row), and the linear layers' inputs to 8 bits (symmetric, one scale per token); the pooler is not.

Needs only torch, transformers and safetensors. As a program it is a contender of train_step.py.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    AutoModelForSequenceClassification,
    get_linear_schedule_with_warmup,
)
from turns import resident, seconds_between, serve, stamp

SCORES = "reference_scores"
MASKED = -10000.0
BATCH = 32
LINEARS = ("query", "key", "value", "dense")


def attention_with_masked_scores(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[Tensor, Tensor]:
    """Compute attention in single operations; the scores (batch, heads, queries, keys) include the mask."""
    scores = torch.matmul(query, key.transpose(-1, -2))
    scores = scores / math.sqrt(query.shape[-1])
    if attention_mask is not None:
        scores = scores + attention_mask
    probabilities = F.dropout(scores.softmax(-1), dropout, module.training)
    return torch.matmul(probabilities, value).transpose(1, 2).contiguous(), scores


AttentionInterface.register(SCORES, attention_with_masked_scores)


class BinaryWeights(torch.autograd.Function):
    """mean|w| sign(w), of the whole matrix or of each row; sign(0) = 0. The gradient passes unchanged."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, groups: int) -> Tensor:
        flat = weight.reshape(groups, -1)
        scale = flat.norm(p=1, dim=1, keepdim=True) / flat.shape[1]
        return (flat.sign() * scale).reshape(weight.shape)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class RoundedInputs(torch.autograd.Function):
    """b bits, symmetric, one scale per token: max|x| / 2^(b-1), clipped at the top. The gradient passes unchanged."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int) -> Tensor:
        levels = 2 ** (bits - 1)
        tokens = x.reshape(-1, x.shape[-1])
        scale = tokens.abs().amax(dim=-1, keepdim=True) / levels
        return ((tokens / scale).round().clamp(-levels, levels - 1) * scale).reshape(x.shape)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class QuantizedLinear(nn.Linear):
    """A linear layer with 1-bit weights and, unless ``input_bits`` is None, rounded inputs."""

    def __init__(self, linear: nn.Linear, input_bits: int | None) -> None:
        super().__init__(linear.in_features, linear.out_features, device="meta")
        self.weight, self.bias, self.input_bits = linear.weight, linear.bias, input_bits

    def forward(self, x: Tensor) -> Tensor:
        weight = BinaryWeights.apply(self.weight, 1)
        if self.input_bits is not None:
            x = RoundedInputs.apply(x, self.input_bits)
        return F.linear(x, weight, self.bias)


class QuantizedTable(nn.Embedding):
    """A table with 1-bit weights; all of its rows are quantised in each forward pass."""

    def __init__(self, table: nn.Embedding) -> None:
        super().__init__(table.num_embeddings, table.embedding_dim, padding_idx=table.padding_idx, device="meta")
        self.weight = table.weight

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(ids, BinaryWeights.apply(self.weight, self.num_embeddings), self.padding_idx)


def quantize(model: Any, input_bits: int | None = 8) -> None:
    """Make a BERT student 1-bit, in place."""
    for name, module in list(model.bert.encoder.named_modules()):
        if isinstance(module, nn.Linear):
            parent, _, child = name.rpartition(".")
            assert child in LINEARS, name
            setattr(model.bert.encoder.get_submodule(parent), child, QuantizedLinear(module, input_bits))
    model.bert.embeddings.word_embeddings = QuantizedTable(model.bert.embeddings.word_embeddings)


def outputs(model: Any, batch: dict[str, Tensor]) -> Any:
    """Return the logits, hidden states and masked attention scores of a padded batch."""
    inputs = {key: value for key, value in batch.items() if key != "labels"}
    mask = (1.0 - inputs.pop("attention_mask").float()) * MASKED
    return model(**inputs, attention_mask=mask[:, None, None, :], output_attentions=True, output_hidden_states=True)


def distillation_loss(student: Any, teacher: Any, layers: Sequence[int], states: Sequence[int]) -> Tensor:
    """Return the sum of the losses on logits, attention scores and hidden states, each a mean over padding too.

    All weights and the temperature are 1.

    Args:
        student: the student's outputs.
        teacher: the teacher's outputs.
        layers: the teacher layer of each student layer.
        states: the teacher hidden state of each student hidden state.
    """
    if student.logits.shape[-1] == 1:
        loss = F.mse_loss(student.logits, teacher.logits)
    else:
        loss = (-teacher.logits.softmax(-1) * student.logits.log_softmax(-1)).mean()
    for one, layer in zip(student.attentions, layers, strict=True):
        loss = loss + F.mse_loss(one, teacher.attentions[layer])
    for one, state in zip(student.hidden_states, states, strict=True):
        loss = loss + F.mse_loss(one, teacher.hidden_states[state])
    return loss


class ReferenceStep:
    """One optimiser step on one padded batch."""

    def __init__(
        self,
        student: Any,
        teacher: Any,
        layers: Sequence[int],
        states: Sequence[int],
        learning_rate: float = 2e-5,
        warmup: int = 100,
    ) -> None:
        self.student, self.teacher, self.layers, self.states = student.train(), teacher.eval(), layers, states
        named = list(student.named_parameters())
        spared = [name for name, _ in named if name.endswith("bias") or "LayerNorm" in name]
        groups = [
            {"params": [p for name, p in named if name not in spared], "weight_decay": 0.01},
            {"params": [p for name, p in named if name in spared], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=learning_rate, foreach=False, fused=False)
        self.schedule = get_linear_schedule_with_warmup(self.optimiser, warmup, 10_000)

    def __call__(self, batch: dict[str, Tensor]) -> Tensor:
        """Take one step, and return the loss before it, a scalar."""
        with torch.no_grad():
            teacher_outputs = outputs(self.teacher, batch)
        loss = distillation_loss(outputs(self.student, batch), teacher_outputs, self.layers, self.states)
        loss.backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), 1.0, foreach=False)
        self.optimiser.step()
        self.schedule.step()
        self.optimiser.zero_grad()
        return loss.detach()


def model_in(folder: Path, device: str) -> Any:
    """Return a classifier in fp32 that also outputs its masked scores."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32", local_files_only=True)
    model.set_attn_implementation(SCORES)
    return model.to(device)


def passes(step: Callable[[dict[str, Tensor]], Tensor], batches: dict[str, Tensor], device: str) -> Callable[[], Any]:
    """Return a function that takes one step on each batch of BATCH rows and reports on them."""
    parts = [{key: value.to(device) for key, value in zip(batches, part, strict=True)} for part in _cut(batches)]

    def once() -> dict[str, Any]:
        step(parts[0])  # the first step includes one-time setup
        started = stamp(device)
        losses = [step(part) for part in parts]
        ended = stamp(device)
        if device == "cuda":
            torch.cuda.synchronize()
        return {
            "seconds": seconds_between(started, ended),
            "steps": len(parts),
            "tokens": sum(int(part["attention_mask"].sum()) for part in parts),
            "positions": sum(part["attention_mask"].numel() for part in parts),
            "loss": float(torch.stack(losses).mean()),
        }

    return once


def _cut(batches: dict[str, Tensor]) -> list[tuple[Tensor, ...]]:
    return list(zip(*(value.split(BATCH) for value in batches.values()), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description="A contender of train_step.py: does one pass for each line of input.")
    parser.add_argument("folder", type=Path, help="folder that train_step.py prepared")
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    before = resident()
    plan = json.loads((chosen.folder / "plan.json").read_text())
    student, teacher = (model_in(chosen.folder / name, chosen.device) for name in ("student", "teacher"))
    quantize(student)
    step = ReferenceStep(student, teacher, plan["layers"], plan["states"])
    serve(passes(step, load_file(chosen.folder / "padded.safetensors"), chosen.device), before, chosen.device)


if __name__ == "__main__":
    main()
