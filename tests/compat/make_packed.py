"""Write packed folders of tiny encoders with random weights, and the logits that 0e5d90d's loader gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TEXTS = (
    "The food was good.",
    "The room was not lovely, but the soup was very nice.",
    "Anna is tall and Ben is short.",
    "The physician quietly repaired the bicycle in the city.",
)
STUDENTS: dict[str, dict[str, Any]] = {
    "one-bit": {"weight_bits": 1},
    "two-bit": {
        **{"weight_bits": 2, "embedding_bits": 4, "rest": "fp16", "quantise_attention": True},
        **{"activation_scale": "tensor", "activation_range": "static", "quantise_pooler": False},
    },
    "groups": {
        "weight_bits": 1,
        "granularity": "group:16",
        "embedding_bits": 8,
        "quantise_tables": True,
        "rest": "8bit",
    },
    "four-bit-rows": {"weight_bits": 4, "granularity": "row", "activation_bits": 32},
}
"""Recipe fields of each folder."""
ENGINES = ("torch", "numba")


def make_packed(out: Path) -> None:
    """Write ``packed/NAME`` for each student, and ``packed/logits.json`` with inputs and hexadecimal logits."""
    import torch
    import transformers
    from xtc_study.compress.lowbit import make_low_bit
    from xtc_study.deploy.checkpoint import save_packed
    from xtc_study.deploy.loading import load
    from xtc_study.tasks.vocabulary import toy_tokenizer

    from xtc_study.recipe import Recipe

    torch.set_num_threads(1)
    tokenizer = toy_tokenizer()
    batch = tokenizer(list(TEXTS), padding=True, return_tensors="pt")
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    found: dict[str, Any] = {}
    for seed, (name, fields) in enumerate(STUDENTS.items()):
        torch.manual_seed(seed)
        config = transformers.BertConfig(
            **shape, vocab_size=len(tokenizer), max_position_embeddings=24, num_labels=3, initializer_range=0.2
        )
        model = transformers.BertForSequenceClassification(config)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))  # biases begin at zero otherwise
        make_low_bit(model, Recipe.of(task="toy-inference", **fields))
        with torch.no_grad():
            model.train()(**batch)  # sets static ranges
        folder = out / "packed" / name
        save_packed(model.eval(), folder, tokenizer if name == "one-bit" else None, fields.get("rest", "fp32"))
        found[name] = {}
        for engine in ENGINES:
            with torch.no_grad():
                logits = load(folder, engine)(**batch).logits
            found[name][engine] = [[value.hex() for value in row] for row in logits.tolist()]
    inputs = {key: value.tolist() for key, value in batch.items()}
    machine = {"torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability()}
    content = {"computed_with": machine, "inputs": inputs, "logits": found}
    (out / "packed" / "logits.json").write_text(json.dumps(content, indent=0) + "\n")
