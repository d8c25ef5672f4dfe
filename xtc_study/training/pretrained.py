"""Load pre-trained encoders and their tokenizers: the built-in one, a hub name, or a local folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from safetensors import SafetensorError

from xtc_study.errors import first_line
from xtc_study.model_source import BERT_BASE, BUILTIN, BUILTIN_CONFIG, TOKENIZER_FILES, ModelError, resolve_model
from xtc_study.tasks.task import Task

if TYPE_CHECKING:
    from xtc_study.training.heads import Head


class EncoderShape(NamedTuple):
    """An encoder's shape, which can be checked before its weights are read."""

    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    vocab_size: int


def encoder_shape(name: str, models_dir: Path | None = None) -> EncoderShape:
    """Return the encoder's shape, read from its configuration alone.

    Args:
        name: a model's name, as in recipes.
        models_dir: folder of models; None: the hub's cache.

    Raises:
        ModelError: the model was not found, or is no text encoder.
    """
    config = _builtin_config() if name == BUILTIN else _config(resolve_model(name, models_dir))
    _check_kind(name, config)
    missing = [field for field in EncoderShape._fields if getattr(config, field, None) is None]
    if missing:
        raise ModelError(
            f"model={name!r}: the configuration of {config.model_type} has no {', '.join(missing)}; the study "
            "compresses encoders that are a stack of attention layers, such as BERT, RoBERTa, DistilBERT or ELECTRA"
        )
    return EncoderShape(*(int(getattr(config, field)) for field in EncoderShape._fields))


def load_tokenizer(name: str, models_dir: Path | None = None) -> Any:
    """Return the encoder's tokenizer; the built-in encoder has a word-level one.

    Args:
        name: a model's name, as in recipes.
        models_dir: folder of models; None: the hub's cache.

    Raises:
        ModelError: the tokenizer was not found, is damaged, or has no padding token.
    """
    if name == BUILTIN:
        from xtc_study.tasks.generated.vocabulary import toy_tokenizer

        return toy_tokenizer()
    from transformers import AutoTokenizer

    source = resolve_model(name, models_dir)
    if Path(source).is_dir() and not any((Path(source) / file).is_file() for file in TOKENIZER_FILES):
        raise ModelError(
            f"model={name!r}: {source} has no tokenizer ({', '.join(TOKENIZER_FILES)}); save the tokenizer it was "
            "trained with beside the weights: tokenizer.save_pretrained(folder)"
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # errors of damaged files have no common base class; tokenizers raises Exception
        raise _not_found(source, error) from error
    if tokenizer.pad_token_id is None:
        raise ModelError(
            f"model={name!r}: its tokenizer has no padding token, so rows cannot share a batch; set pad_token in "
            "tokenizer_config.json"
        )
    return tokenizer


def load_encoder(name: str, task: Task, seed: int, models_dir: Path | None = None) -> Any:
    """Return the model of ``load_with_head``, which describes the arguments and errors."""
    return load_with_head(name, task, seed, models_dir)[0]


def load_with_head(
    name: str, task: Task, seed: int, models_dir: Path | None = None, unit_known: bool = True
) -> tuple[Any, Head]:
    """Return a sequence classifier for the task, and whether it uses the checkpoint's head.

    The checkpoint's pooler is kept. Its head is kept if its classes have the names of the task's, with its rows in the
    task's order; any other head is redrawn at random (``heads``).

    Args:
        name: a model's name, as in recipes.
        task: gives the classes.
        seed: seed of the random weights.
        models_dir: folder of models; None: the hub's cache.
        unit_known: whether the values of a regression's head are known to be in the unit of the labels
            (``match_head``).

    Raises:
        ModelError: the model was not found, has no weights, or its weights do not match its configuration.
    """
    from transformers import AutoModelForSequenceClassification, BertForSequenceClassification, set_seed

    from xtc_study.training.heads import (
        NO_HEAD,
        apply_head,
        class_names,
        classifier_name,
        match_head,
        name_classes,
        not_of_texts,
        other_kind,
    )

    set_seed(seed)
    if name == BUILTIN:
        model = BertForSequenceClassification(_builtin_config(num_labels=task.num_labels))
        name_classes(model.config, task)
        return model, NO_HEAD

    # The configuration is read first, because from_pretrained writes the task's number of labels into its own.
    source = resolve_model(name, models_dir)
    config = _config(source)
    names, outputs, kind = class_names(config), int(config.num_labels), other_kind(config)
    try:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            source,
            num_labels=task.num_labels,
            ignore_mismatched_sizes=True,  # the classifier of another task is redrawn
            output_loading_info=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype="float32",
        )
    except (OSError, SafetensorError) as error:
        raise _not_found(source, error) from error

    # Only the head and the pooler may be missing from the file.
    drawn = [key for key in _drawn(report) if key.startswith(f"{model.base_model_prefix}.") and ".pooler." not in key]
    if drawn:
        raise ModelError(
            f"model={name!r}: its files lack weights that its config.json asks for, or have them in another size "
            f"({_some(drawn)}); they would be random: take config.json and weights from one checkpoint"
        )

    # The head: kept, reordered or redrawn.
    name_classes(model.config, task)
    place = classifier_name(model)
    if place is None or f"{place}.weight" in report["missing_keys"]:
        return model, NO_HEAD
    head = match_head(names, outputs, task, unit_known) if kind is None else not_of_texts(kind)
    drawn_already = any(key == f"{place}.weight" for key, *_ in report["mismatched_keys"])
    spread = float(getattr(model.config, "initializer_range", 0.02))
    apply_head(model.get_submodule(place), head, None if drawn_already else seed, spread)
    return model, head


def untrained_encoder(name: str, models_dir: Path | None = None, num_labels: int = 3) -> Any:
    """Return a sequence classifier of the encoder's shape with random float32 weights, for measurements and checks.

    Args:
        name: a model's name, as in recipes.
        models_dir: folder of models; None: the hub's cache.
        num_labels: number of outputs.

    Raises:
        ModelError: the model's configuration was not found.
    """
    from transformers import AutoModelForSequenceClassification, BertConfig

    config = _builtin_config() if name == BUILTIN else None
    if config is None:
        try:
            config = _config(resolve_model(name, models_dir))
        except ModelError:
            if name not in BERT_BASE:
                raise
            config = BertConfig()  # transformers' defaults are BERT-base, so it can be measured without the hub
    config.num_labels = num_labels
    return AutoModelForSequenceClassification.from_config(config, dtype="float32")


def load_masked_lm(name: str, models_dir: Path | None = None) -> Any:
    """Return the encoder with the masked-language-model head it was pre-trained with.

    Args:
        name: a model's name, as in recipes.
        models_dir: folder of models; None: the hub's cache.

    Raises:
        ModelError: the model was not found, or its weights have no such head.
    """
    from transformers import AutoModelForMaskedLM

    fix = "choose augmentation='synonyms', or a model with its masked-LM head, such as google-bert/bert-base-uncased"
    if name == BUILTIN:
        raise ModelError(f"augmentation='masked-lm': {name!r} is not pre-trained and knows no words; {fix}")
    source = resolve_model(name, models_dir)
    try:
        model, report = AutoModelForMaskedLM.from_pretrained(
            source, output_loading_info=True, use_safetensors=True, trust_remote_code=False, dtype="float32"
        )
    except OSError as error:
        raise _not_found(source, error) from error
    except ValueError as error:  # an architecture without a masked-LM form
        raise ModelError(
            f"augmentation='masked-lm': model={name!r} cannot be a masked LM ({first_line(error)}); {fix}"
        ) from error
    missing = _drawn(report)  # head and encoder alike
    if missing:
        raise ModelError(
            f"augmentation='masked-lm': model={name!r} has no weights of a masked-LM head (missing: "
            f"{_some(missing)}); {fix}"
        )
    return model


def _drawn(report: Any) -> list[str]:
    """Return the names of the weights that were drawn at random: missing from the file, or of another size there."""
    return sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"


def _builtin_config(**fields: Any) -> Any:
    from transformers import BertConfig

    return BertConfig(**BUILTIN_CONFIG, vocab_size=len(load_tokenizer(BUILTIN)), pad_token_id=0, **fields)


def _config(source: str) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # damaged, unknown, or with code of its own: no common base class
        raise _not_found(source, error) from error


def _check_kind(name: str, config: Any) -> None:
    """Check that the architecture reads text in both directions: those have a masked-LM form in transformers."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    if config.model_type not in MODEL_FOR_MASKED_LM_MAPPING_NAMES or config.is_encoder_decoder:
        kind = "an encoder and a decoder" if config.is_encoder_decoder else "not a text encoder"
        raise ModelError(
            f"model={name!r}: {config.model_type} is {kind}; the study compresses encoders, which read a text in both "
            "directions; choose for instance BERT, RoBERTa, DistilBERT or ELECTRA"
        )


def _not_found(name: str, error: Exception) -> ModelError:
    reason = first_line(error)
    if Path(name).is_dir():
        return ModelError(
            f"model={name!r}: the folder cannot be read ({reason}); expected a complete transformers model folder of "
            "an architecture that needs no custom code"
        )
    return ModelError(
        f"model={name!r}: not found locally or on the hub ({reason}); "
        "give a folder, or put the model under --models-dir by that name"
    )
