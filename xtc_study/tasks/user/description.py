"""The YAML file that describes a data set of your own.

    name: reviews                    # letters, digits, - and _
    files: {train: train.csv, dev: dev.csv}        # .csv, .tsv, .jsonl or .parquet, in the same folder
    text: review                     # a column, or two for a pair: [premise, hypothesis]
    label: stars                     # a column
    labels: [bad, good]              # in the order of their ids; if omitted: the values found in train
    metrics: [accuracy, f1]          # the first is the primary metric
    positive: good                   # the class whose F1 is computed

If there is only one file, ``held_out: 0.1`` reserves that share of it for scoring. A data set on the hub has ``hub``,
``config``, ``revision`` and ``splits: {train: train, dev: validation}`` instead of ``files``. A regression has
``kind: regression`` and no ``labels``. ``docs/your_data.md`` documents every field with examples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from xtc_study.tasks.metric_names import CLASS_METRICS, F1_OF, LOWER_IS_BETTER, SCORE_METRICS
from xtc_study.tasks.task import DataError
from xtc_study.tasks.user.labels import near_equal

ENDINGS = (".yml", ".yaml")

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,29}$")]


class Description(BaseModel):
    """The fields of the YAML file. Every scalar is read as text, so that the labels yes, 1 and 1.0 keep their form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    question: str = ""
    """One sentence that states what the model must decide."""
    files: dict[Name, str] = {}
    """File by split. ``train`` is trained on, every other split is scored."""
    hub: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")] | None = None
    config: str | None = None
    revision: str | None = None
    """A commit of the data set on the hub."""
    splits: dict[Name, str] = {}
    """The hub's split by our split."""
    text: str | Annotated[list[str], Field(min_length=1, max_length=2)]
    label: str
    kind: Literal["classification", "regression"] = "classification"
    labels: Annotated[list[str], Field(min_length=2)] | None = None
    metrics: Annotated[list[str], Field(min_length=1)] | None = None
    """Some of ``known_metrics``, or ``f1_of:CLASS``."""
    positive: str | None = None
    """The class whose F1 ``f1`` is."""
    held_out: Annotated[float, Field(gt=0, le=0.5)] | None = None
    quoting: Literal["csv", "none"] | None = None
    """How double quotes in .tsv files are read; None detects it (``tasks/dialect.py``)."""

    @property
    def texts(self) -> list[str]:
        """The columns of text, one or two."""
        return [self.text] if isinstance(self.text, str) else list(self.text)

    @property
    def sources(self) -> dict[str, str]:
        return dict(self.files or self.splits)

    @property
    def known_metrics(self) -> tuple[str, ...]:
        return CLASS_METRICS if self.kind == "classification" else SCORE_METRICS

    @field_validator("labels", "positive")
    @classmethod
    def _without_blanks(cls, value: list[str] | str | None) -> list[str] | str | None:
        return [name.strip() for name in value] if isinstance(value, list) else value and value.strip()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if bool(self.files) == bool(self.hub):
            raise ValueError("expected either files, or hub with splits")
        if not self.hub and (self.splits or self.config or self.revision):
            raise ValueError("splits, config and revision belong to hub")
        if "train" not in self.sources:
            raise ValueError(f"{'splits' if self.hub else 'files'}: expected a split named train")
        if (len(self.sources) > 1) == (self.held_out is not None):
            raise ValueError("expected either a second split to score on, or held_out (such as 0.1)")
        if len({*self.texts, self.label}) != len(self.texts) + 1:
            raise ValueError("text and label: expected distinct columns")
        if self.kind == "regression" and self.labels:
            raise ValueError("labels: a regression has no classes; remove this field")
        if self.labels and len(set(self.labels)) != len(self.labels):
            raise ValueError("labels: expected each class once")
        for near in near_equal(self.labels or (), by_case=False)[:1]:
            raise ValueError(f"labels: {' and '.join(map(repr, near))} look alike; rename one of them")
        if self.quoting and not any(name.lower().endswith(".tsv") for name in self.files.values()):
            raise ValueError(
                "quoting: applies only to .tsv files, and there are none; .csv files always use CSV quoting"
            )
        self._check_metrics()
        return self

    def _check_metrics(self) -> None:
        metrics, known = self.metrics or [], self.known_metrics
        if len(set(metrics)) != len(metrics):
            raise ValueError("metrics: expected each metric once")
        for metric in metrics:
            if metric not in known and not (metric.startswith(F1_OF) and self.kind == "classification"):
                also = f" and {F1_OF}CLASS" if self.kind == "classification" else ""
                raise ValueError(f"metrics: {metric!r}, expected some of {', '.join(known)}{also} for a {self.kind}")
        if metrics and metrics[0] in LOWER_IS_BETTER:
            raise ValueError(
                f"metrics: {metrics[0]!r} is an error in the unit of the labels, where lower is better; verdicts "
                "and tables are in points, where higher is better: put pearson or spearman first, and this one after"
            )
        if self.positive is not None and "f1" not in metrics:
            raise ValueError(
                f"positive: {self.positive!r} names the class of f1, which is not in metrics; add f1 to metrics, or "
                "remove positive"
            )


def is_description(text: str | Path) -> bool:
    """Return whether a task is chosen by the path of a description rather than by name."""
    return str(text).endswith(ENDINGS)


def read_description(path: Path) -> Description:
    """Read and check a description, without its data.

    Raises:
        DataError: the file cannot be read, or a field is missing, unknown or invalid.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_OnceEach)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); expected a YAML description of a data set") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected fields such as name, files, text and label, got {str(content)[:60]!r}")
    try:
        return Description(**content)
    except ValidationError as error:
        raise DataError("\n".join(f"{path}: {line}" for line in _mistakes(error, content))) from None
    except TypeError:
        raise DataError(f"{path}: expected field names that are text, got {', '.join(map(repr, content))}") from None


class _OnceEach(yaml.BaseLoader):
    """Reads every scalar as text. A repeated key is an error; YAML's own loaders would keep the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value!r} occurs twice; keep one of them", problem_mark=key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


def _mistakes(error: ValidationError, content: dict[str, Any]) -> list[str]:
    lines: dict[str, str] = {}
    for item in error.errors():
        field = str(item["loc"][0]) if item["loc"] else ""
        if item["type"] == "missing":
            line = f"{field}: is required"
        elif item["type"] == "extra_forbidden":
            line = f"{field}: no such field; known fields are {', '.join(Description.model_fields)}"
        elif not field:
            line = item["msg"].removeprefix("Value error, ")
        elif item["type"] == "string_pattern_mismatch" and field != "hub":
            line = f"{field}: {item['input']!r}, expected up to 30 lower-case letters, digits, - and _"
        else:
            line = f"{field}={content.get(field)!r}: {item['msg']}"
        lines.setdefault(field, line)
    return list(lines.values())
