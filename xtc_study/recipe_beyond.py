"""The fields of a recipe that go beyond XTC's method. Each is off by default; study 40_beyond_xtc compares them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from xtc_study.recipe_xtc import FULL_PRECISION, NotNegative, Positive, XtcFields

TRAINING = ("student_weight_decay", "warmdown", "optimizer", "muon_learning_rate", "averaging")
"""How students are optimised."""
DISTILLATION = (
    *("attention_loss", "relation_layer", "attention_weight", "hidden_weight", "label_weight", "temperature"),
)
"""What students learn."""
LOW_BIT_TRAINING = (
    *("intervention", "progressive", "weight_scale", "two_bit_levels", "input_norm", "weight_start", "word_start"),
)
"""What the low-bit phase alone does."""

ShareOfSteps = Annotated[float, Field(ge=0, lt=1)]


class BeyondXtc(XtcFields):
    """What the literature since XTC adds; the teacher is trained as before, so all arms share it."""

    student_weight_decay: NotNegative | None = None
    """Weight decay of students. None: ``weight_decay``."""
    warmdown: Annotated[float, Field(gt=0, le=1)] | None = None
    """Last share of each stage's steps, over which the learning rate falls linearly to 0; before it, the rate is flat.
    None: it falls from the end of the warm-up on. The teacher's always does."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon: the matrices of the student's linears take Muon's steps (orthogonalised momentum), all else AdamW's."""
    muon_learning_rate: Positive = 2e-4
    """Peak rate of Muon, in the unit of AdamW's (updates have the same root mean square)."""
    averaging: ShareOfSteps = 0
    """Decay of the exponential average of the student's weights that ends the training. 0: the last weights."""

    attention_loss: Literal["scores", "maps", "relations"] = "scores"
    """What of the attention is compared. scores: the mean squared error before the softmax, layer by layer (XTC).
    maps: the divergence of the probabilities and the error of the attention's output, layer by layer. relations: the
    divergence of the relations among queries, among keys and among values, of one layer (MiniLMv2)."""
    relation_layer: Annotated[int, Field(ge=0)] | None = None
    """The teacher's layer (from 0) whose relations are compared; the student's layer that is compared with it in the
    other losses learns from it. None: the last."""
    attention_weight: NotNegative = 1
    """Weight of the attention's term; that of the logits is 1."""
    hidden_weight: NotNegative = 1
    """Weight of the hidden states' term."""
    label_weight: NotNegative = 0
    """Weight of the labels' own loss, a further term wherever students learn from logits."""
    temperature: Positive = 1
    """Divides the logits of student and teacher before the softmax; the term is multiplied by its square (Hinton)."""

    intervention: ShareOfSteps = 0
    """First share of the low-bit steps in which the teacher's attention stands in the student's place: for the first
    half its map, for the second its output, which gives way to the student's linearly."""
    progressive: ShareOfSteps = 0
    """First share of the low-bit steps in which weights have more bits: 32 for the first half, 2 for the second."""
    weight_scale: Literal["mean", "learned"] = "mean"
    """Where the scales of low-bit weights and of the word table come from: their rule (for 1 and 2 bits, from the mean
    magnitude), or learned from that start."""
    two_bit_levels: Literal["ternary", "odd"] = "ternary"
    """The integers of a 2-bit weight, in linears and tables: -1, 0, 1 (1.6 bits in the file), or -3, -1, 1, 3, which
    use both bits."""
    input_norm: Literal["none", "rms"] = "none"
    """rms: the input of each low-bit linear is divided by its root mean square, blended in over the warm-up."""
    weight_start: Literal["copied", "least-squares"] = "copied"
    """least-squares: the low-bit weights start from those that change outputs least on training rows (GPTQ)."""
    word_start: Literal["model", "static"] = "model"
    """static: the student's word table starts from the teacher's output for each token alone."""

    @model_validator(mode="after")
    def _beyond_fits_together(self) -> Self:
        if self.relation_layer is not None and self.attention_loss != "relations":
            raise ValueError(f"relation_layer={self.relation_layer} needs attention_loss 'relations'")
        if self.two_bit_levels != "ternary" and 2 not in (self.weight_bits, self.embedding_bits):
            raise ValueError(f"two_bit_levels={self.two_bit_levels!r} needs weight_bits or embedding_bits of 2")
        weights = ("progressive", "weight_scale", "weight_start")
        for field in weights if self.weight_bits == FULL_PRECISION else ():
            if getattr(self, field) != type(self).model_fields[field].default:
                raise ValueError(f"{field}={getattr(self, field)!r} needs weight_bits of 1 to 8: at 32 there is none")
        if self.weight_scale == "learned" and self.weight_clip is not None:
            raise ValueError(
                f"weight_clip={self.weight_clip} needs weight_scale 'mean': a learned scale has a range of its own"
            )
        if self.weight_scale == "learned" and self.progressive:
            raise ValueError(
                f"progressive={self.progressive} needs weight_scale 'mean': a scale that is learned for these bits "
                "fits no others"
            )
        if self.input_norm != "none" and min(self.weight_bits, self.activation_bits) == FULL_PRECISION:
            raise ValueError(
                "input_norm 'rms' needs weight_bits or activation_bits below 32: it is a low-bit linear's"
            )
        if self.stages == 0:
            for field in (*DISTILLATION, "intervention"):
                if getattr(self, field) != type(self).model_fields[field].default:
                    raise ValueError(
                        f"{field}={getattr(self, field)!r} needs stages of 1 to 3: at 0 nothing is distilled"
                    )
        return self
