"""Load a model from a packed folder.

``load`` checks the folder and chooses an engine; transformers' own loader does the rest: through
``xtc_study.packed.hf_quantizer`` it puts packed layers into the model and fills them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xtc_study.compress.quantization.attention import restore_attention
from xtc_study.errors import first_line
from xtc_study.model_folder import CONFIG, WEIGHTS
from xtc_study.packed.alignment import align
from xtc_study.packed.checkpoint import packed_modules, stored_shapes
from xtc_study.packed.checksums import CheckpointError, check_alone, read_config, verify
from xtc_study.packed.engines import engine_for_loading, make_engine
from xtc_study.packed.hf_quantizer import check_attention, check_depth
from xtc_study.packed.quiet import quiet_loading


def load(folder: str | Path, engine: str = "auto") -> Any:
    """Load the model of a packed folder, in evaluation mode, with exactly the logits of the saved student.

    Example:
        >>> model = load("exports/cola-1bit")
        >>> logits = model(**tokenizer(["A sentence."], return_tensors="pt")).logits  # [rows, classes]

    Args:
        folder: a packed folder.
        engine: auto, torch, numba or native (``xtc_study.packed.engines``).

    Raises:
        CheckpointError: missing or damaged files, an unknown format version, or tensors that do not fit.
        ValueError: an unknown engine, or one that is not installed or built.
    """
    from transformers import AutoModelForSequenceClassification

    # Check everything before transformers starts, because it checks little of a configuration.
    make_engine(engine)
    folder = Path(folder)
    config = read_config(folder)
    verify(folder, config)
    check_alone(folder, config)
    packed_modules(folder, config)
    check_depth(str(folder / CONFIG), config, len(stored_shapes(folder)), "tensors")
    check_attention(folder, config)

    try:
        with engine_for_loading(engine), quiet_loading():
            model, report = AutoModelForSequenceClassification.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, output_loading_info=True
            )
    except CheckpointError:
        raise
    except Exception as error:  # a wrong configuration may raise anything
        raise CheckpointError(
            f"{folder / CONFIG}: does not describe a model that fits its weights ({first_line(error)})"
        ) from error

    missing, surplus = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    if missing or surplus or report["mismatched_keys"]:
        raise CheckpointError(f"{folder / WEIGHTS}: missing tensors {missing[:5]}, unexpected tensors {surplus[:5]}")
    if "quantization_config" not in config:  # a plain checkpoint, for which transformers calls no quantizer
        restore_attention(model)
        align(model)
    return model.eval()
