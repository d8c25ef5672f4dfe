"""Training steps as CUDA graphs: forward pass, loss and backward pass are captured once per shape and replayed.

A step of a six-layer student is about 1,400 operations (benchmarks/step_operations.py); launched one by one, they
keep a GPU waiting for the CPU. A graph launches all of them at once. What a step does stays the same: dropout draws
from the same generator, and the same numbers enter the optimiser.

A capture executes nothing, but the passes before it, which load the kernels, do. They leave no trace: the state of the
random number generator and the model's buffers (ranges of inputs) are put back.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xtc_study.runs.environment import CUDA_GRAPHS

PAD_TO = 8
"""Batches are padded to a multiple of this many tokens, so that they have few shapes."""
LARGEST_NUMBER = 32
"""Graphs of one training in one mode. They share one pool of memory, so that together they need what the largest of
them needs, but each keeps its list of kernels. Further shapes take the plain way."""
WARM_UPS = 2

Result = TypeVar("Result")
Batch = dict[str, Tensor]
Losses = dict[str, Tensor]


class Graph(Protocol):
    """What a capture gives; torch.cuda.CUDAGraph is one."""

    def replay(self) -> None: ...


class StepLosses(NamedTuple):
    """What a step computed. The next step of any shape overwrites it."""

    total: Tensor
    """The sum of the terms, a scalar."""
    terms: Losses


Capture = Callable[[Callable[[], StepLosses]], tuple[Graph, StepLosses]]
"""Captures a function, without executing it, and returns the graph with the tensors that a replay writes to."""


class _Captured(NamedTuple):
    graph: Graph
    inputs: Batch
    """A replay reads these."""
    losses: StepLosses
    """A replay writes these."""
    gradients: list[tuple[nn.Parameter, Tensor]]
    """The parameters that get a gradient, and where a replay writes it."""


class GraphedSteps:
    """The steps of one training: ``take`` runs one if its shape and mode have a graph, or have occurred before.

    Args:
        model: the model in training.
        losses: returns the loss terms of a batch, each a scalar; must not wait for the device.
        capture: captures one step; None: CUDA's.
    """

    def __init__(self, model: nn.Module, losses: Callable[[Batch], Losses], capture: Capture | None = None) -> None:
        self.model, self.losses = model, losses
        self.capture = capture or CudaCapture()
        self.graphs: dict[tuple[Any, ...], _Captured] = {}
        self.seen: Counter[tuple[Any, ...]] = Counter()
        self.gradients: dict[nn.Parameter, Tensor] = {}
        """Fixed memory for the gradient of each parameter that gets one in some mode."""
        self.refused = False

    def take(self, inputs: Batch, mode: Hashable = None) -> StepLosses | None:
        """Run forward and backward pass, and return the losses; ``parameter.grad`` then holds the gradients.

        None if the caller must run the step: the shape is new (rare ones are not worth a capture), there are enough
        graphs, or the model cannot be captured.

        Args:
            inputs: input_ids, attention_mask, ... (batch, positions) and labels (batch,), on the device.
            mode: what ``losses`` computes at this step, if not always the same; each mode has graphs of its own.
        """
        shape = (mode, *((name, tuple(value.shape), value.dtype) for name, value in sorted(inputs.items())))
        captured = self.graphs.get(shape)
        if captured is None:
            self.seen[shape] += 1
            enough = sum(known[0] == mode for known in self.graphs) >= LARGEST_NUMBER
            if self.refused or self.seen[shape] < 2 or enough:
                return None
            captured = self._captured(inputs)
            if captured is None:
                return None
            # No mode returns. Its graphs are dropped only now, since a pool of memory ends with its last graph.
            self.graphs = {known: graph for known, graph in self.graphs.items() if known[0] == mode}
            self.graphs[shape] = captured

        for name, value in inputs.items():
            captured.inputs[name].copy_(value, non_blocking=True)
        captured.graph.replay()
        for parameter, gradient in captured.gradients:
            parameter.grad = gradient
        return captured.losses

    def _captured(self, inputs: Batch) -> _Captured | None:
        fixed = {name: value.clone() for name, value in inputs.items()}
        device = next(iter(fixed.values())).device
        self.model.train()
        before = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        generator = _generator_state(device)

        try:
            gradients = self._warm_up(fixed)
            graph, losses = self.capture(lambda: self._step(fixed, gradients))
        except RuntimeError as error:
            self.refused = True
            kind = type(self.model).__name__
            warnings.warn(
                f"{kind}: a training step cannot be captured as a CUDA graph ({str(error).splitlines()[0]}); its "
                f"kernels are launched one by one, which is slower ({CUDA_GRAPHS}=0: no attempt)",
                stacklevel=2,
            )
            return None
        finally:
            # Also the gradients of the warm-up: the plain way would add to them.
            self.model.zero_grad()
            _set_generator_state(device, generator)
            for name, buffer in self.model.named_buffers():
                buffer.copy_(before[name])
        return _Captured(graph, fixed, losses, gradients)

    def _warm_up(self, fixed: Batch) -> list[tuple[nn.Parameter, Tensor]]:
        """Load the kernels, and return the parameters that get a gradient; others keep None, as on the plain way."""
        real = fixed["attention_mask"].clone()
        # A batch without padding would take a way without a mask, which is not the one that is captured.
        fixed["attention_mask"][0, -1] = 0
        with _side_stream(real.device):
            for _ in range(WARM_UPS):
                self.model.zero_grad()
                torch.stack(list(self.losses(fixed).values())).sum().backward()
        fixed["attention_mask"].copy_(real)
        getting = [parameter for parameter in self.model.parameters() if parameter.grad is not None]
        for parameter in getting:
            if parameter not in self.gradients:
                self.gradients[parameter] = torch.empty_like(parameter)
        self.model.zero_grad()
        return [(parameter, self.gradients[parameter]) for parameter in getting]

    def _step(self, fixed: Batch, gradients: list[tuple[nn.Parameter, Tensor]]) -> StepLosses:
        losses = self.losses(fixed)
        total = torch.stack(list(losses.values())).sum()
        total.backward()
        fresh = [parameter.grad for parameter, _ in gradients if parameter.grad is not None]
        torch._foreach_copy_([gradient for _, gradient in gradients], fresh)
        return StepLosses(total.detach(), {term: value.detach() for term, value in losses.items()})


class CudaCapture:
    """Captures with torch.cuda.graph; all graphs share one pool of memory, since no two run at once."""

    def __init__(self) -> None:
        self.pool: Any = None

    def __call__(self, run: Callable[[], Result]) -> tuple[Graph, Result]:
        self.pool = self.pool or torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        # Only calls of this thread must be ones that a capture allows; others do not touch the step.
        with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
            result = run()
        return graph, result


def graphs_wanted(device: str, pad_in_loss: bool) -> bool:
    """Return whether steps are captured: on CUDA, unless switched off or padding counts in the loss."""
    return device == "cuda" and not pad_in_loss and os.environ.get(CUDA_GRAPHS) != "0"


class PaddedTo:
    """Collates with ``padding`` and pads the batch to a multiple of PAD_TO tokens.

    Args:
        padding: collates rows into a batch padded to its longest row.
        model: gives the id of the padding token.
        longest: the most tokens that the model reads.
    """

    def __init__(self, padding: Callable[..., Batch], model: Any, longest: int) -> None:
        self.padding, self.longest = padding, longest
        self.pad_id = getattr(model.config, "pad_token_id", None) or 0

    def __call__(self, rows: Sequence[Any]) -> Batch:
        batch = self.padding(rows)
        length = batch["input_ids"].shape[1]
        more = min(-(-length // PAD_TO) * PAD_TO, max(self.longest, length)) - length
        return {
            name: F.pad(value, (0, more), value=self.pad_id if name == "input_ids" else 0)
            if value.dim() == 2 and more
            else value
            for name, value in batch.items()
        }


def _generator_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_generator_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)


@contextmanager
def _side_stream(device: torch.device) -> Iterator[None]:
    """Within the block, work goes to another stream, as in a capture: libraries keep workspaces for each stream."""
    if device.type != "cuda":
        yield
        return
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        yield
    torch.cuda.current_stream(device).wait_stream(side)
