"""The fields of a recipe that XTC and the studies around it vary, each with the values it takes."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from xtc_study.granularity import EXPECTED, Granularity
from xtc_study.recipe_messages import NOT_TEXT
from xtc_study.recipe_static import refuse_with_static, static_fields
from xtc_study.share import PATTERN, Share

FULL_PRECISION = 32
MOST_HELD_OUT = 0.5

FLAGS = ("quantise_pooler", "quantise_attention", "quantise_tables", "pad_in_loss", "teacher_dropout")
CHOICES = (
    *("order", "granularity", "activation_scale", "activation_range", "augmentation", "rest", "vocabulary", "ffn_by"),
    *("optimizer", "attention_loss", "weight_scale", "two_bit_levels", "input_norm", "weight_start", "word_start"),
)
NAMES = ("task", "model", "start", "ffn", "holdout", *CHOICES, *FLAGS)
DEPTHS = ("layers", "teacher_layers")
REST_FORMATS = ("fp32", "fp16", "8bit")
"""How a file stores what is not packed; see ``xtc_study.packed.unpacked``."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Fraction = Annotated[str, Field(pattern=PATTERN)]


class XtcFields(BaseModel):
    """What XTC, its predecessors and their ablations vary."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)

    task: str
    """A GLUE task (cola, sst2, ...) or a generated one (toy-sentiment, ...)."""
    model: str = "builtin:tiny"
    """The pre-trained encoder: ``builtin:tiny``, a hub name, or a local folder."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Seeds the classifier's initial weights, the order of batches, and dropout."""
    batch_size: Count = 32
    max_length: Annotated[int, Field(ge=4, lt=2**31)] = 128
    """Longest input in tokens; longer texts are cut."""

    teacher_layers: Count | tuple[Annotated[int, Field(ge=0)], ...] | Fraction | None = None
    """Depth of the teacher: the encoder keeps only these layers when it is fine-tuned. Values as for ``layers``, which
    then counts the teacher's layers. None: all of them."""
    teacher_epochs: NotNegative = 3
    """0: the model itself is the teacher, unchanged; its head must name the task's classes."""
    teacher_learning_rate: Positive = 2e-5

    layers: Count | tuple[Annotated[int, Field(ge=0)], ...] | Fraction | None = None
    """Student depth: a count, a share of the teacher's depth (``1/2``), the list of teacher layers to keep (from 0),
    or None for all of them."""
    ffn: Fraction | None = None
    """Share of the inner units that each feed-forward layer keeps (``1/4``). None: all of them."""
    ffn_by: Literal["importance", "magnitude"] = "importance"
    """Which units are kept: those whose removal would raise the task's loss most, to first order, or those with the
    largest weights."""
    start: str = "teacher"
    """Where the student's weights come from: ``teacher`` (fine-tuned), ``pretrained``, or a hub name or folder."""
    order: Literal["reduce-then-quantise", "together"] = "reduce-then-quantise"
    """Whether a small low-bit student first finishes its fp32 reduction (the paper), or does both at once."""
    reduce_stages: Literal[0, 1, 2, 3] = 1
    """Distillation stages of the fp32 reduction; values as for ``stages``."""
    reduce_epochs: Positive = 3
    reduce_learning_rate: Positive = 5e-5

    weight_bits: int = 1
    """1 (binary), 2 (ternary), 3 to 8, or 32 for full precision."""
    embedding_bits: int | None = None
    """Bits of the word embeddings, one scale per row; None: as weight_bits."""
    activation_bits: int = 8
    """Bits of the input of each low-bit linear: 2 to 8, or 32."""
    granularity: str = "tensor"
    """One scale per ``tensor``, per ``row``, or per ``group:N`` (N weights of a row)."""
    quantise_pooler: bool = True
    """Whether the dense layer before the classifier is low-bit too (BinaryBERT: yes; the released XTC configs: no),
    and with it the one between narrow word embeddings and the layers, where an encoder has one (ELECTRA)."""
    quantise_attention: bool = False
    """Whether queries, keys, values and attention probabilities get activation_bits too (TernaryBERT yes, XTC no)."""
    activation_scale: Literal["token", "tensor"] = "token"
    """One scale per token of an input, or one for the whole input."""
    activation_range: Literal["dynamic", "static"] = "dynamic"
    """Whether the scale is each input's own, or fixed in training; fixed, it needs one scale for the whole input."""
    weight_clip: Positive | None = None
    """Straight-through estimator: weights outside +-clip are clamped and get no gradient. None: identity."""

    stages: Literal[0, 1, 2, 3] = 1
    """Distillation stages: 0 trains on labels alone; 1 all terms; 2 and 3 as in the paper."""
    epochs: Positive = 3
    """Total length of the low-bit training, shared by its stages, in passes over the plain data. With augmentation a
    student takes the same number of steps, on rows drawn from the larger pool."""
    learning_rate: Positive = 2e-5
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of each stage's steps over which the learning rate rises."""
    weight_decay: NotNegative = 0.01
    pad_in_loss: bool = False
    """Whether padded positions count in the distillation terms, as in the authors' code. A batch is padded to its
    longest row; their scripts pad every row to 128, and so count far more padding."""
    teacher_dropout: bool = False
    """Whether the teacher's dropout is on while it teaches, as in TinyBERT's, BinaryBERT's and BiT's code."""

    augmentation: Literal["none", "synonyms", "masked-lm"] = "none"
    """What students learn from besides the plain rows: variants with words replaced by synonyms, or by what the model
    itself predicts there (TinyBERT). The teacher learns from the plain rows only."""
    augmentation_copies: Count = 10
    """Variants tried for each sentence (TinyBERT's N; 10 to 30 by task)."""
    augmentation_probability: Annotated[float, Field(gt=0, le=1)] = 0.4
    """Probability that a replaceable word is replaced (TinyBERT's p)."""
    augmentation_candidates: Count = 15
    """Maximum number of words that a replacement is drawn from (TinyBERT's M)."""
    quantise_tables: bool = False
    """Whether the position and type tables are low-bit too, at embedding_bits, one scale per row. The paper counts
    them at b bits; its released configs leave them in full precision."""
    rest: Literal["fp32", "fp16", "8bit"] = "fp32"
    """How the file stores what is not packed: position table, vectors, scales. They are rounded after training and
    before the score is measured."""
    vocabulary: Literal["full", "task"] = "full"
    """Which tokens the file keeps: all of the encoder's, or those that the task's training text uses and those that
    spell any other word. The others are cut after training and before the score is measured."""
    holdout: Fraction | None = None
    """Share of the training rows that are held out and scored in place of the dev rows, which are not read. Such a run
    is a *trial*: it serves to choose a value (``tuning``), and no table counts it. None: not a trial."""
    static: Annotated[int, Field(ge=1, lt=2**15)] | None = None
    """Width of a table of static token vectors in place of an encoder (``compress/static``), at embedding_bits;
    nothing is trained but a linear head. None: a transformer. With a table, fields that only a training has (seed,
    epochs, rates, batches, distillation) get their defaults, and those that only a transformer has are refused."""

    @model_validator(mode="before")
    @classmethod
    def _static_has_no_training(cls, values: Any) -> Any:
        return static_fields(values) if isinstance(values, dict) and values.get("static") is not None else values

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        # Otherwise a YAML 'yes' or a quoted '1' would pass as a number. pydantic's strict mode is no substitute: it
        # refuses 32.0 for 32, which a table of results holds, and the lists that YAML gives for tuples; it accepts
        # True for a stage; and its message does not say that a value was text.
        if info.field_name not in FLAGS and isinstance(value, bool):
            raise ValueError("expected a value, not true or false")
        text_is_fine = info.field_name in NAMES or (info.field_name in DEPTHS and "/" in str(value))
        if not text_is_fine and isinstance(value, str):
            raise ValueError(NOT_TEXT)
        if isinstance(value, list | tuple) and any(isinstance(item, bool | str) for item in value):
            raise ValueError("expected whole numbers")
        return value

    @field_validator("weight_bits", "embedding_bits", mode="before")
    @classmethod
    def _known_weight_bits(cls, bits: Any) -> Any:
        if bits is not None and bits != FULL_PRECISION and bits not in range(1, 9):
            raise ValueError("expected 1 (binary), 2 (ternary), 3 to 8, or 32 (full precision)")
        return bits

    @field_validator("activation_bits", mode="before")
    @classmethod
    def _known_activation_bits(cls, bits: Any) -> Any:
        if bits != FULL_PRECISION and bits not in range(2, 9):
            raise ValueError("expected 2 to 8, or 32 (full precision)")
        return bits

    @field_validator("granularity")
    @classmethod
    def _known_granularity(cls, text: str) -> str:
        try:
            Granularity.parse(text)
        except ValueError:
            raise ValueError(EXPECTED) from None  # ``readable`` puts the field and its value before it
        return text

    @field_validator(*DEPTHS)
    @classmethod
    def _distinct_layers(cls, layers: Any, info: ValidationInfo) -> Any:
        of = "teacher" if info.field_name == "layers" else "encoder"
        if isinstance(layers, str) and Share.parse(layers).exceeds_one:
            raise ValueError(f"expected a share of at most 1/1 of the {of}'s layers")
        if isinstance(layers, tuple):
            if not layers:
                raise ValueError(f"expected at least one {of} layer; use null to keep all of them")
            if list(layers) != sorted(set(layers)):
                raise ValueError(f"expected {of} layers in ascending order, each once")
        return layers

    @field_validator("ffn")
    @classmethod
    def _at_most_all_units(cls, share: str | None) -> str | None:
        if share is not None and Share.parse(share).exceeds_one:
            raise ValueError("expected a share of at most 1/1 of the teacher's units")
        return share

    @field_validator("holdout")
    @classmethod
    def _at_most_half(cls, share: str | None) -> str | None:
        if share is not None and Share.parse(share).times(1) > MOST_HELD_OUT:
            raise ValueError("expected a share of at most 1/2 of the training rows")
        return share

    @field_validator("task", "model", "start")
    @classmethod
    def _named(cls, text: str) -> str:
        if not text.strip() or "\n" in text or "\0" in text:
            raise ValueError("expected a name")
        return text

    @model_validator(mode="after")
    def _fields_fit_together(self) -> Self:
        if self.activation_range == "static" and self.activation_scale == "token":
            raise ValueError(
                "activation_range 'static' needs activation_scale 'tensor': a range fixed in training "
                "cannot know the tokens of a new sentence"
            )
        if self.quantise_attention and self.activation_bits == FULL_PRECISION:
            raise ValueError("quantise_attention needs activation_bits of 2 to 8: at 32 there is nothing to quantise")
        if self.static is not None:
            refuse_with_static(self)
        return self
