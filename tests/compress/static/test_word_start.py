from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from xtc_study.compress.static.vectors import around_a_text, token_outputs
from xtc_study.compress.static.word_start import rows_from_outputs, static_word_start
from xtc_study.tasks.generated.vocabulary import toy_tokenizer


def test_rows_get_the_mean_and_the_scale_of_the_table_by_hand() -> None:
    """Words 1 and 2 lie 1 about their mean (5, 3) in each column; the outputs (1, 9) and (5, 5), 2 about (3, 7)."""
    table = torch.tensor([[9.0, 9.0], [4.0, 4.0], [6.0, 2.0]])
    outputs = torch.tensor([[7.0, 7.0], [1.0, 9.0], [5.0, 5.0]])
    assert rows_from_outputs(outputs, table, [0]).tolist() == [[9, 9], [4, 4], [6, 2]]
    outputs = torch.tensor([[7.0, 7.0], [1.0, 5.0], [5.0, 9.0]])
    assert rows_from_outputs(outputs, table, [0]).tolist() == [[9, 9], [4, 2], [6, 4]]


def test_equal_outputs_give_the_mean() -> None:
    table = torch.tensor([[1.0], [3.0]])
    assert rows_from_outputs(torch.ones(2, 1), table, []).tolist() == [[2], [2]]


def test_a_students_table_starts_from_the_teachers_outputs(tiny: Callable[..., Any]) -> None:
    student, teacher, tokenizer = tiny("bert", layers=1, seed=1), tiny("bert"), toy_tokenizer()
    table = student.get_input_embeddings().weight
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    static_word_start(student, teacher, tokenizer)
    changed = [name for name, tensor in student.state_dict().items() if not torch.equal(tensor, before[name])]
    assert changed == ["bert.embeddings.word_embeddings.weight"]

    outputs = token_outputs(teacher.bert, *around_a_text(tokenizer), len(table))
    special = [token for token in tokenizer.all_special_ids if token < len(table)]
    expected = rows_from_outputs(outputs.clone(), before[changed[0]], special)
    assert torch.equal(table, expected) and torch.equal(table[special], before[changed[0]][special])
    words = torch.tensor([token for token in range(len(table)) if token not in special])
    torch.testing.assert_close(table[words].mean(0), before[changed[0]][words].mean(0), rtol=1e-4, atol=1e-5)


def test_a_trial_changes_only_the_first_rows(tiny: Callable[..., Any]) -> None:
    student = tiny("bert", layers=1)
    table = student.get_input_embeddings().weight
    before = table.detach().clone()
    static_word_start(student, tiny("bert", seed=2), toy_tokenizer(), most=9)
    assert torch.equal(table[9:], before[9:]) and not torch.equal(table[:9], before[:9])
