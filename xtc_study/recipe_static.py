"""What a recipe's other fields may be when a table of static vectors takes the encoder's place (field ``static``)."""

from __future__ import annotations

from typing import Any

OF_TRAINING = (
    *("seed", "batch_size", "teacher_epochs", "teacher_learning_rate", "reduce_stages", "reduce_epochs"),
    *("reduce_learning_rate", "activation_bits", "stages", "epochs", "learning_rate", "warmup", "weight_decay"),
    *("pad_in_loss", "teacher_dropout", "augmentation_copies", "augmentation_probability", "augmentation_candidates"),
    *("ffn_by", "quantise_pooler", "student_weight_decay", "warmdown", "optimizer", "muon_learning_rate", "averaging"),
    *("attention_loss", "relation_layer", "attention_weight", "hidden_weight", "label_weight", "temperature"),
    *("intervention", "progressive"),
)
"""Fields without effect on a table. Profiles set them for every arm, so they are not refused but get their defaults:
then two ids never stand for one and the same table."""
OF_TRANSFORMER = (
    *("teacher_layers", "layers", "ffn", "start", "order", "granularity", "quantise_attention", "activation_scale"),
    *("activation_range", "weight_clip", "augmentation", "quantise_tables", "holdout", "weight_scale"),
    *("two_bit_levels", "input_norm", "weight_start", "word_start"),
)
"""Fields that ask for something a table does not have."""


def static_fields(values: dict[str, Any]) -> dict[str, Any]:
    """Return a static recipe's values without those that have no effect, the bits of the table in both fields.

    Args:
        values: as given, by field; ``static`` is among them.
    """
    kept = {field: value for field, value in values.items() if field not in OF_TRAINING}
    bits = kept["embedding_bits"] if kept.get("embedding_bits") is not None else kept.get("weight_bits", 1)
    return kept | {"weight_bits": bits, "embedding_bits": bits, "activation_bits": 32}


def refuse_with_static(recipe: Any) -> None:
    """Check that nothing is asked for that a table does not have.

    Raises:
        ValueError: a field of ``OF_TRANSFORMER`` has another value than its default.
    """
    for field in OF_TRANSFORMER:
        value, default = getattr(recipe, field), type(recipe).model_fields[field].default
        if value != default:
            raise ValueError(
                f"static={recipe.static} takes no {field} ({value!r}): a table of token vectors has no layers and "
                f"learns nothing but its head; leave {field} out, or leave static out for a transformer"
            )
