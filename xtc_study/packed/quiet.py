"""Silence progress bars, reports and warnings of other libraries about what is checked here or intended."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager


class quiet_loading(ContextDecorator):
    """A block or function in which transformers shows no progress bar ("Loading weights") and logs only errors."""

    def __enter__(self) -> None:
        from transformers.utils import logging as transformers_logging

        self.bar, self.level = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
        transformers_logging.disable_progress_bar()
        transformers_logging.set_verbosity_error()

    def __exit__(self, *_: object) -> None:
        from transformers.utils import logging as transformers_logging

        transformers_logging.set_verbosity(self.level)
        if self.bar:
            transformers_logging.enable_progress_bar()


@contextmanager
def quiet_export() -> Iterator[None]:
    """Suppress warnings within the block: torch's and OpenVINO's exporters warn about what is intended."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
