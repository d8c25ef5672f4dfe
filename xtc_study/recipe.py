"""What one run is: a Recipe, the scientific parameters of one compressed model, validated, canonical, hashed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from xtc_study.canonical import digest
from xtc_study.granularity import EXPECTED, Granularity
from xtc_study.nearest import did_you_mean
from xtc_study.recipe_messages import NOT_TEXT, readable
from xtc_study.recipe_static import refuse_with_static, static_fields
from xtc_study.share import PATTERN, Share

VERSION = 1
"""Bump by hand when the same recipe would give a different model. It is part of every run_id."""

GENERATED = "toy-"
"""Prefix of the names of generated tasks."""
GENERATED_VERSION = 2
"""Bump by hand when the rows of generated tasks change. Part of their run_ids only. 2: 2,000 dev rows, not 600."""

FULL_PRECISION = 32
MOST_HELD_OUT = 0.5
TRIAL = "-trial"
"""End of the slug of a run that holds rows out."""

FLAGS = ("quantise_pooler", "quantise_attention", "quantise_tables", "pad_in_loss", "teacher_dropout")
CHOICES = (
    "order",
    "granularity",
    "activation_scale",
    "activation_range",
    "augmentation",
    "rest",
    "vocabulary",
    "ffn_by",
)
NAMES = ("task", "model", "start", "ffn", "holdout", *CHOICES, *FLAGS)
DEPTHS = ("layers", "teacher_layers")
AUGMENTATION = ("augmentation", "augmentation_copies", "augmentation_probability", "augmentation_candidates")
REST_FORMATS = ("fp32", "fp16", "8bit")
"""How a file stores what is not packed; see ``xtc_study.packed.unpacked``."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Fraction = Annotated[str, Field(pattern=PATTERN)]


class RecipeError(ValueError):
    """A recipe that cannot be run. The message names the field, the value and what was expected."""


class Recipe(BaseModel):
    """The scientific parameters of one run. Device, precision, paths and workers are recorded beside it.

    Example:
        >>> recipe = Recipe.of(task="cola", layers="1/2", weight_bits=1, epochs=18)
        >>> recipe.run_id

    Raises:
        RecipeError: from ``Recipe.of``: an unknown field, or a value outside its range.
    """

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
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
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

    @classmethod
    def of(cls, **fields: Any) -> Recipe:
        """Make a recipe from plain values (YAML, notebook parameters).

        Raises:
            RecipeError: one line per wrong field: its name, its value and what was expected.
        """
        unknown = sorted(set(fields) - set(cls.model_fields))
        if unknown:
            raise RecipeError(
                f"unknown recipe field {', '.join(map(repr, unknown))}; the fields are: {', '.join(cls.model_fields)}"
                + "".join(did_you_mean(field, cls.model_fields) for field in unknown)
            )
        try:
            return cls(**fields)
        except ValidationError as error:
            lines = {str(item["loc"][:1]): readable(item, fields) for item in reversed(error.errors())}
            raise RecipeError("\n".join(reversed(lines.values()))) from None

    @classmethod
    def from_names(cls, names: Mapping[str, Any]) -> Recipe:
        """Make the recipe from a notebook's variables: ``Recipe.from_names(globals())`` after the parameters cell."""
        return cls.of(**{field: names[field] for field in cls.model_fields if field in names})

    @property
    def embedding_bits_used(self) -> int:
        return self.weight_bits if self.embedding_bits is None else self.embedding_bits

    @property
    def is_low_bit(self) -> bool:
        return min(self.weight_bits, self.embedding_bits_used, self.activation_bits) < FULL_PRECISION

    def scientific(self) -> dict[str, Any]:
        """Return the task and the fields that differ from their defaults.

        Defaults are left out so that a new field changes no old run id. So are fields without effect: the settings of
        augmentation where there is none, and ``ffn_by`` where no unit is cut.
        """
        values = self.model_dump(mode="json", exclude_defaults=True)
        if self.augmentation == "none":
            values = {field: value for field, value in values.items() if field not in AUGMENTATION}
        if self.ffn is None:
            values.pop("ffn_by", None)
        return {"task": self.task, **values}

    @property
    def run_id(self) -> str:
        """A short slug of what the run is, followed by the hash of its canonical JSON and VERSION."""
        generated = {"generated": GENERATED_VERSION} if self.task.startswith(GENERATED) else {}
        return f"{self._slug()}-{digest({'version': VERSION, **generated, **self.scientific()})}"

    def _slug(self) -> str:
        if self.static is not None:
            return re.sub(r"[^a-z0-9.-]+", "_", f"{self.task}-static{self.static}-w{self.weight_bits}".lower())[:80]
        if self.layers is None:
            depth = "all"
        elif isinstance(self.layers, int | str):
            depth = f"{self.layers}l".replace("/", "of")
        else:
            depth = "l" + ".".join(map(str, self.layers))
        text = f"{self.task}-{depth}-w{self.weight_bits}a{self.activation_bits}-s{self.stages}-seed{self.seed}"
        return re.sub(r"[^a-z0-9.-]+", "_", text.lower())[:80] + ("" if self.holdout is None else TRIAL)
