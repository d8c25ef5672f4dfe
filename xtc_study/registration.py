"""Makes packed folders known to transformers as soon as transformers can be told, without importing it.

Planning and reports start without torch, so ``import xtc_study`` must not import transformers; and transformers looks
for no plug-ins. What remains is Python's own way to learn of an import: a finder that waits for the one module that
keeps the list of quantizers, lets it load as always, adds ours, and is gone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

LIST_OF_QUANTIZERS = "transformers.quantizers.auto"


def register_with_transformers() -> None:
    """Now if transformers has its list of quantizers already, else right after it is imported."""
    if LIST_OF_QUANTIZERS in sys.modules:
        _register()
    elif not any(isinstance(finder, _Waiting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Waiting())


class _Waiting(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != LIST_OF_QUANTIZERS:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                _register()

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


def _register() -> None:
    import xtc_study.deploy.hf_quantizer  # noqa: F401  (registers itself)
