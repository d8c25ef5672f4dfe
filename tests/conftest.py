"""Offline, one thread, and tiny encoders with random weights."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")

PAD = {"bert": 0, "roberta": 1, "distilbert": 0}
SHAPE = {
    "vocab_size": 101,
    "max_position_embeddings": 40,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.2,
}
DISTILBERT_SHAPE = {
    "vocab_size": 101,
    "max_position_embeddings": 40,
    "dim": 32,
    "n_heads": 4,
    "hidden_dim": 64,
    "initializer_range": 0.2,
}


@pytest.fixture(scope="module", autouse=True)
def no_kernel_servers_left() -> Iterator[None]:
    """A module's kernel servers end with it: each holds what its notebooks import."""
    yield
    if warm_kernels := sys.modules.get("xtc_study.runs.warm_kernels"):
        warm_kernels.end_kernel_servers()


@pytest.fixture(params=["bert", "roberta", "distilbert"])
def family(request: pytest.FixtureRequest) -> str:
    """Each family of encoders in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def tiny() -> Callable[..., Any]:
    """``tiny(family, layers=4, labels=3, seed=0)``: a classifier in evaluation mode, no parameter of it zero."""

    def make(family: str = "bert", layers: int = 4, labels: int = 3, seed: int = 0) -> Any:
        import torch
        import transformers

        if family == "distilbert":
            config: Any = transformers.DistilBertConfig(
                **DISTILBERT_SHAPE, n_layers=layers, num_labels=labels, pad_token_id=PAD[family]
            )
            kind: Any = transformers.DistilBertForSequenceClassification
        else:
            config_kind: Any = transformers.BertConfig if family == "bert" else transformers.RobertaConfig
            config = config_kind(**SHAPE, num_hidden_layers=layers, num_labels=labels, pad_token_id=PAD[family])
            bert, roberta = transformers.BertForSequenceClassification, transformers.RobertaForSequenceClassification
            kind = bert if family == "bert" else roberta
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = kind(config)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.1 * torch.randn_like(parameter))  # biases start at zero otherwise
        return model.eval()

    return make


@pytest.fixture(scope="session")
def batch() -> Callable[[str], dict[str, Any]]:
    """``batch(family)``: three padded sentences of 9, 6 and 4 pieces, with their attention mask."""

    def make(family: str = "bert") -> dict[str, Any]:
        import torch

        generator = torch.Generator().manual_seed(1)
        ids = torch.randint(5, 101, (3, 9), generator=generator)
        mask = (torch.arange(9) < torch.tensor([[9], [6], [4]])).long()
        return {"input_ids": torch.where(mask.bool(), ids, PAD[family]), "attention_mask": mask}

    return make


@pytest.fixture(scope="session")
def native_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the native engine built in it."""
    from xtc_study.packed.engines import native_build

    if native_build.compiler() is None:
        pytest.skip("no C++ compiler on this machine")
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        native_build.build()
    return folder


@pytest.fixture(params=["torch", "numba", "native"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each engine's name in turn; native is built first, and skipped where there is no compiler."""
    if request.param == "native":
        monkeypatch.setenv("XDG_CACHE_HOME", str(request.getfixturevalue("native_cache")))
    return str(request.param)


@pytest.fixture
def student(tiny: Callable[..., Any], batch: Callable[..., Any]) -> Callable[..., Any]:
    """``student(family, layers=4, **fields)``: a tiny encoder with low-bit layers, in evaluation mode."""

    def make(family: str = "bert", layers: int = 4, **fields: Any) -> Any:
        import torch

        from xtc_study.compress.quantization.lowbit import make_low_bit
        from xtc_study.recipe import Recipe

        model = tiny(family, layers)
        make_low_bit(model, Recipe.of(task="toy-sentiment", **fields))
        with torch.no_grad():
            model.train()(**batch(family))  # sets static ranges
        return model.eval()

    return make
