"""Makes packed folders known to transformers as soon as transformers can be told, without importing it.

Planning and reports start without torch, so ``import xtc_study`` must not import transformers; and transformers looks
for no plug-ins. What remains is Python's own way to learn of an import: a finder that waits for the one module that
keeps the list of quantizers, lets it load as always, adds ours, and is gone. Another one waits for the pipeline that
classifies texts, which does not cut them unless told to.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

LIST_OF_QUANTIZERS = "transformers.quantizers.auto"
PIPELINE = "transformers.pipelines.text_classification"


def register_with_transformers() -> None:
    """Now what transformers has imported already, and the rest right after it is imported."""
    for name, register in ((LIST_OF_QUANTIZERS, _quantizer), (PIPELINE, _pipeline)):
        if name in sys.modules:
            register()
        elif not any(isinstance(finder, _Waiting) and finder.name == name for finder in sys.meta_path):
            sys.meta_path.insert(0, _Waiting(name, register))


class _Waiting(MetaPathFinder):
    def __init__(self, name: str, register: Callable[[], None]) -> None:
        self.name, self.register = name, register

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                self.register()

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


def _quantizer() -> None:
    import xtc_study.packed.hf_quantizer  # noqa: F401  (registers itself)


def _pipeline() -> None:
    from xtc_study.packed.hf_pipeline import cut_texts

    cut_texts()
