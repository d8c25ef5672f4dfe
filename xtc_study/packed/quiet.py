"""transformers without its progress bars and loading reports, for folders of ours that were just checked."""

from __future__ import annotations

from contextlib import ContextDecorator


class without_bars(ContextDecorator):
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
