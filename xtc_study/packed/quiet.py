"""Other libraries without their progress bars, reports and warnings, where what they report is checked or intended."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager


class quiet_loading(ContextDecorator):
    """A block, or a function, in which transformers shows no bar ("Loading weights") and logs errors alone."""

    def __enter__(self) -> None:
        from transformers.utils import logging

        self.bar, self.level = logging.is_progress_bar_enabled(), logging.get_verbosity()
        logging.disable_progress_bar()
        logging.set_verbosity_error()

    def __exit__(self, *_: object) -> None:
        from transformers.utils import logging

        logging.set_verbosity(self.level)
        if self.bar:
            logging.enable_progress_bar()


@contextmanager
def quiet_export() -> Iterator[None]:
    """A block without warnings: torch's and OpenVINO's exporters warn of what is intended."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
