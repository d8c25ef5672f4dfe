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
    """Last share of each stage's steps, over which the learning rate falls linearly to 0; between it and the warm-up
    the rate is flat. Both fit into a stage: warmup + warmdown is at most 1. None: the rate falls from the end of the
    warm-up on. The teacher's always does."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon: the matrices of the student's linears take Muon's steps (orthogonalised momentum), all else AdamW's."""
    muon_learning_rate: Positive = 2e-4
    """Peak rate of Muon, in a reduction too, in the unit of AdamW's (updates have the same root mean square)."""
    averaging: ShareOfSteps = 0
    """Decay of the exponential average of the student's weights that ends each stage. 0: the last weights."""

    attention_loss: Literal["scores", "maps", "relations"] = "scores"
    """What of the attention is compared. scores: the mean squared error before the softmax, layer by layer (XTC).
    maps: the divergence of the probabilities and the error of the attention's output, layer by layer. relations: the
    divergence of the relations among queries, among keys and among values, of one layer (MiniLMv2)."""
    relation_layer: Annotated[int, Field(ge=0)] | None = None
    """The teacher's layer (from 0) whose relations are compared; the student's layer that is compared with it in the
    other losses learns from it. None: the last of both."""
    attention_weight: NotNegative = 1
    """Weight of the attention's terms; that of the logits is 1. 0: attention is not compared."""
    hidden_weight: NotNegative = 1
    """Weight of the hidden states' term. 0: they are not compared."""
    label_weight: NotNegative = 0
    """Weight of the labels' own loss, a further term wherever students learn from logits."""
    temperature: Positive = 1
    """Divides the logits of student and teacher before the softmax; the term is multiplied by its square (Hinton).
    Without effect on a regression, which has no softmax."""

    intervention: ShareOfSteps = 0
    """First share of the low-bit steps in which the teacher's attention stands in the student's place: for the first
    half its map, for the second its output, which gives way to the student's linearly. It ends within the first
    stage."""
    progressive: ShareOfSteps = 0
    """First share of the low-bit steps in which weights have more bits: 32 for the first half, 2 for the second, which
    weights of 2 bits or more spend at their own. Of several stages, only the first one's steps count."""
    weight_scale: Literal["mean", "learned"] = "mean"
    """Where the scales of low-bit weights and of the word table come from: their rule (for 1 and 2 bits, from the mean
    magnitude), or learned from that start."""
    two_bit_levels: Literal["ternary", "odd"] = "ternary"
    """The integers of a 2-bit weight, in linears and tables: -1, 0, 1 (1.6 bits in the file), or -3, -1, 1, 3, which
    use both bits."""
    input_norm: Literal["none", "rms"] = "none"
    """rms: each low-bit linear divides each token by its root mean square, blended in over the first low-bit stage's
    warm-up."""
    weight_start: Literal["copied", "least-squares"] = "copied"
    """least-squares: weights of 1 or 2 bits start from those that change outputs least on 128 training rows (GPTQ)."""
    word_start: Literal["model", "static"] = "model"
    """static: the student's word table starts the low-bit training from the teacher's output for each token alone."""

    @model_validator(mode="after")
    def _distillation_fits_together(self) -> Self:
        if self.relation_layer is not None and self.attention_loss != "relations":
            raise ValueError(f"relation_layer={self.relation_layer} needs attention_loss 'relations'")
        if self.attention_weight == 0 and self.attention_loss != "scores":
            raise ValueError(
                f"attention_loss={self.attention_loss!r} needs an attention_weight above 0: at 0 it has no effect"
            )
        if self.attention_weight == self.hidden_weight == 0:
            for field in ("stages", "reduce_stages"):
                if getattr(self, field) in (2, 3):
                    raise ValueError(
                        f"{field}={getattr(self, field)} needs attention_weight or hidden_weight above 0: its first "
                        f"stage learns from nothing else; or set {field}=1"
                    )
        if self.intervention > 0:
            bits = (self.weight_bits, self.embedding_bits or self.weight_bits, self.activation_bits)
            if min(bits) == FULL_PRECISION:
                raise ValueError(
                    f"intervention={self.intervention:g} needs weight_bits, embedding_bits or activation_bits below "
                    "32: it begins a low-bit training"
                )
            if self.stages and self.intervention > 1 / self.stages:
                raise ValueError(
                    f"intervention={self.intervention:g} with stages={self.stages}: expected at most 1/{self.stages}, "
                    "for it ends within the first stage"
                )
        return self

    @model_validator(mode="after")
    def _training_fits_together(self) -> Self:
        if self.warmdown is not None and self.warmup + self.warmdown > 1:
            raise ValueError(
                f"warmup={self.warmup} and warmdown={self.warmdown} take more than all of a stage's steps; lower one, "
                "so that they sum to at most 1"
            )
        return self

    @model_validator(mode="after")
    def _beyond_fits_together(self) -> Self:
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
        if self.input_norm != "none" and min(self.weight_bits, self.activation_bits) == FULL_PRECISION:
            raise ValueError(
                "input_norm 'rms' needs weight_bits or activation_bits below 32: it is a low-bit linear's"
            )
        if self.input_norm != "none" and self.activation_scale == "tensor" and self.activation_bits < FULL_PRECISION:
            raise ValueError(
                "input_norm 'rms' needs activation_scale 'token': it gives each token a scale of its own, and "
                "'tensor' has one for all"
            )
        embedding_bits = self.weight_bits if self.embedding_bits is None else self.embedding_bits
        lowest = min(self.weight_bits, embedding_bits, self.activation_bits)
        if self.word_start != "model" and lowest == FULL_PRECISION:
            raise ValueError(
                "word_start='static' needs weight_bits, embedding_bits or activation_bits below 32: it starts the "
                "low-bit training"
            )
        if self.stages == 0:
            for field in (*DISTILLATION, "intervention"):
                if getattr(self, field) != type(self).model_fields[field].default:
                    raise ValueError(
                        f"{field}={getattr(self, field)!r} needs stages of 1 to 3: at 0 nothing is distilled"
                    )
        return self

    @model_validator(mode="after")
    def _least_squares_fits(self) -> Self:
        needed = {
            "weight_bits of 1 or 2": self.weight_bits in (1, 2),
            "two_bit_levels 'ternary'": self.weight_bits == 1 or self.two_bit_levels == "ternary",
            "no weight_clip": self.weight_clip is None,
            "activation_range 'dynamic'": self.activation_range == "dynamic",
            "progressive of 0": self.progressive == 0,
        }
        for what, given in needed.items():
            if self.weight_start == "least-squares" and not given:
                raise ValueError(
                    f"weight_start='least-squares' needs {what}: it finds the first integers of binary or ternary "
                    "weights, for inputs that are quantised by ranges of their own"
                )
        return self
