"""The format as a quantizer of transformers, so that ``from_pretrained`` of a packed folder works.

transformers has no plug-in entry point: a quantizer is known once its module has registered it. ``import xtc_study``
sees to that (``xtc_study.registration``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers.quantizers.auto import (
    AUTO_QUANTIZER_MAPPING,
    register_quantization_config,
    register_quantizer,
)
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from xtc_study.packed.alignment import align
from xtc_study.packed.checksums import CONFIG, WEIGHTS, CheckpointError

METHOD = "xtc"
MOST_LAYERS = 1000
"""More than any encoder has; a file's packed modules, of which each layer has several, may be more."""


class XtcConfig(QuantizationConfigMixin):
    """``quantization_config`` of a packed folder; its content is read from the checked config.json."""

    def __init__(self, **fields: Any) -> None:
        self.quant_method = METHOD
        self.fields = {key: value for key, value in fields.items() if key != "quant_method"}

    def to_dict(self) -> dict[str, Any]:
        return {"quant_method": METHOD, **self.fields}


class XtcQuantizer(HfQuantizer):
    """Packed layers in place of plain ones before the weights are read; an engine for each afterwards."""

    def __init__(self, quantization_config: Any, **kwargs: Any) -> None:
        super().__init__(quantization_config, **kwargs)
        self.folder: Path | None = None

    def update_attn_implementation(self, config: Any) -> Any:
        """The first that is asked with the model's configuration, before a layer is built."""
        from xtc_study.packed.loading import check_depth

        fields = getattr(self.quantization_config, "fields", {})
        modules = fields.get("modules")
        most = max(len(modules) if isinstance(modules, dict) else 0, MOST_LAYERS)
        check_depth(str(Path(str(config._name_or_path)) / CONFIG), config.to_dict(), most, "layers at most")
        return super().update_attn_implementation(config)

    def update_dtype(self, dtype: torch.dtype) -> torch.dtype:
        return torch.float32  # scales, sums and norms are float32 in training too

    def _process_model_before_weight_loading(
        self, model: Any, checkpoint_files: list[str] | None = None, **kwargs: Any
    ) -> None:
        from xtc_study.packed.loading import prepare

        if [Path(file).name for file in checkpoint_files or []] != [WEIGHTS]:
            raise CheckpointError(f"weights {checkpoint_files}: a packed folder has one {WEIGHTS}, and no other")
        assert checkpoint_files is not None
        self.folder = Path(checkpoint_files[0]).parent
        prepare(model, self.folder)

    def _process_model_after_weight_loading(self, model: Any, **kwargs: Any) -> Any:
        from xtc_study.packed.loading import complete

        assert self.folder is not None
        complete(model, self.folder)
        align(model)
        if model.config.num_labels == 1 and model.config.problem_type is None:
            model.config.problem_type = "regression"  # older folders; a pipeline would put the value through a sigmoid
        return model

    def is_serializable(self) -> bool:
        return False  # an engine may hold other bytes than the file; copy the folder instead

    @property
    def is_trainable(self) -> bool:
        return False


if METHOD not in AUTO_QUANTIZER_MAPPING:
    register_quantization_config(METHOD)(XtcConfig)
    register_quantizer(METHOD)(XtcQuantizer)
