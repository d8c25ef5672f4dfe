"""Fractional factorial designs: a balanced part of all combinations of axes that have two labels each.

An axis is a *factor*, its first label low and its second high. Factors have letters in the study's order: A, B, C and
so on, without I, which stands for the identity. A generator ``E: BCD`` makes E high in the arms in which an odd number
of B, C and D is high, so that the arm with every factor low is always among the arms. What an effect cannot be told
apart from (its aliases) follows from the generators alone. Source: Box and Hunter (1961), The 2^(k-p) fractional
factorial designs, Technometrics 3.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from xtc_study.arms import Arm, ArmError, Axis

LETTERS = "ABCDEFGHJKLMNOP"
"""Of factors, in order; I stands for the identity."""
RESOLUTIONS = {"III": 3, "IV": 4, "V": 5}

STANDARD: dict[int, tuple[tuple[int, str], ...]] = {
    3: ((3, "C=AB"),),
    4: ((4, "D=ABC"),),
    5: ((3, "D=AB E=AC"), (5, "E=ABCD")),
    6: ((3, "D=AB E=AC F=BC"), (4, "E=ABC F=BCD"), (6, "F=ABCDE")),
    7: ((3, "D=AB E=AC F=BC G=ABC"), (4, "E=ABC F=BCD G=ACD"), (7, "G=ABCDEF")),
    8: ((4, "E=BCD F=ACD G=ABC H=ABD"), (5, "G=ABCD H=ABEF"), (8, "H=ABCDEFG")),
    9: ((3, "E=ABC F=BCD G=ACD H=ABD J=ABCD"), (4, "F=BCDE G=ACDE H=ABDE J=ABCE"), (6, "H=ACDFG J=BCEFG")),
}
"""By number of factors: resolution and generators of the standard fractions, the fewest arms first. They are those of
Box and Hunter (1961) and Fries and Hunter (1980), recalled; tests compute the resolution of each."""
EXAMPLE = "{fractional: {E: BCD, F: ACD}}"
EXPECTED = f"expected fractional, {{fractional: IV}} with one of {', '.join(RESOLUTIONS)}, or generators: {EXAMPLE}"


class DesignError(ArmError):
    """A design that does not fit the axes, or generators that make none. The message names what is wrong."""


class Design(BaseModel):
    """Which of the combinations of the axes a study runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fractional: str | dict[str, str]
    """A resolution, whose smallest standard fraction is taken, or a generator for each letter that is no basic one."""

    @classmethod
    def of(cls, value: Any) -> Design:
        """Make it from a value of YAML: ``fractional`` is ``{fractional: IV}``.

        Raises:
            ValueError: another word, a key that is unknown, or a value that is neither a resolution nor generators.
        """
        if isinstance(value, Design):
            return value
        given = {"fractional": "IV"} if value == "fractional" else value
        if not isinstance(given, Mapping) or set(given) != {"fractional"}:
            raise ValueError(f"design={value!r}: {EXPECTED}")
        wanted = given["fractional"]
        if (
            isinstance(wanted, Mapping)
            and wanted
            and {type(part) for pair in wanted.items() for part in pair} == {str}
        ):
            return cls(fractional=dict(wanted))
        if not isinstance(wanted, str) or wanted not in RESOLUTIONS:
            raise ValueError(f"design={value!r}: {EXPECTED}")
        return cls(fractional=wanted)


Designed = Annotated[Design | None, BeforeValidator(lambda value: None if value is None else Design.of(value))]
"""A field of a model read from YAML; None: no design."""


@dataclass(frozen=True)
class Contrast:
    """What one column of a design estimates: the sum of effects that these arms cannot tell apart."""

    factor: str
    """The letter of the main effect in it; empty where there is none."""
    pairs: tuple[str, ...]
    """The interactions of two factors in it, by their letters: ``("AB", "CG")``. Beside a main effect they count with
    a minus sign."""
    signs: tuple[int, ...]
    """(arms,): 1 in the arms whose mean is taken, -1 in those whose mean is subtracted."""

    @property
    def code(self) -> str:
        """Its effects in letters: ``A``, ``A - BC``, ``AB + CG``; empty where three or more factors interact."""
        return " - ".join([self.factor, *self.pairs]) if self.factor else " + ".join(self.pairs)


@dataclass(frozen=True)
class Fraction:
    """A design for certain axes."""

    axes: Mapping[str, str]
    """By letter, the name of the axis."""
    generators: Mapping[str, str]
    words: tuple[str, ...]
    """The defining relation: products of letters that are constant over the arms, the shortest first."""
    rows: tuple[frozenset[str], ...]
    """For each arm, the letters that are high; the first arm has none."""
    contrasts: tuple[Contrast, ...]
    """All that the arms can estimate: main effects, then groups of interactions of two factors, then higher ones."""

    @property
    def resolution(self) -> int:
        """Length of the shortest word: at 4, no main effect is aliased with an interaction of two factors."""
        return len(self.words[0])


def fraction_of(axes: Mapping[str, Axis], design: Design) -> Fraction:
    """Return the fraction of these axes.

    Raises:
        DesignError: an axis without exactly two labels, too many axes, or generators that do not fit them.
    """
    _check_axes(axes)
    letters = LETTERS[: len(axes)]
    generators = (
        _standard(len(axes), design.fractional) if isinstance(design.fractional, str) else dict(design.fractional)
    )
    _check_generators(generators, letters)
    basic = [letter for letter in letters if letter not in generators]

    # The arms in standard order: the first basic factor changes fastest.
    rows = []
    for flags in itertools.product((False, True), repeat=len(basic)):
        high = {letter for letter, on in zip(reversed(basic), flags, strict=True) if on}
        high |= {letter for letter, word in generators.items() if len(high & set(word)) % 2}
        rows.append(frozenset(high))

    # The group that the generators' words form: the product of two words drops the letters that both have.
    words: set[frozenset[str]] = {frozenset()}
    for letter, word in generators.items():
        words |= {one ^ frozenset({letter, *word}) for one in words}
    words -= {frozenset()}
    defining = sorted(("".join(sorted(word)) for word in words), key=lambda word: (len(word), word))
    if len(defining[0]) < 3:
        one, other = (f"{letter} ({list(axes)[letters.index(letter)]})" for letter in defining[0])
        raise DesignError(
            f"design: the generators make {one} and {other} the same in every arm; give them other generators"
        )
    names = dict(zip(letters, axes, strict=True))
    return Fraction(names, generators, tuple(defining), tuple(rows), _contrasts(basic, words, rows))


def designed_arms(axes: Mapping[str, Axis], design: Design, reference: str) -> list[Arm]:
    """Return the arms of a design. Each is named by the labels of its high factors: ``flat rate + intervention``.

    Args:
        axes: of the study, with a low and a high label each.
        design: which combinations.
        reference: the name of the arm with every factor low.

    Raises:
        DesignError: as ``fraction_of``; or two axes set the same field.
    """
    fraction = fraction_of(axes, design)
    owners: dict[str, str] = {}
    for name, axis in axes.items():
        for field in sorted({field for fields in axis.values() for field in fields}):
            if owners.setdefault(field, name) != name:
                raise DesignError(f"axes {owners[field]} and {name} both set {field}")

    arms = []
    for high in fraction.rows:
        factors = {name: list(axes[name])[letter in high] for letter, name in fraction.axes.items()}
        fields = {field: value for name, label in factors.items() for field, value in axes[name][label].items()}
        on = [factors[name] for letter, name in fraction.axes.items() if letter in high]
        name = reference if not on else f"all {len(on)}" if len(on) == len(axes) else " + ".join(on)
        code = "".join(sorted(high)).lower() or "(1)"
        arms.append(Arm(name=name, set=fields, factors=factors, code=code))
    return arms


def _contrasts(basic: list[str], words: set[frozenset[str]], rows: list[frozenset[str]]) -> tuple[Contrast, ...]:
    """Return a contrast for every set of aliased effects; sets of basic letters stand for one each."""
    found = []
    for size in range(1, len(basic) + 1):
        for chosen in itertools.combinations(basic, size):
            aliased = {frozenset(chosen), *(frozenset(chosen) ^ word for word in words)}
            lead = min(aliased, key=lambda effect: (len(effect), sorted(effect)))
            pairs = sorted("".join(sorted(effect)) for effect in aliased if len(effect) == 2)
            signs = [math.prod(1 if letter in high else -1 for letter in lead) for high in rows]
            main = next(iter(lead)) if len(lead) == 1 else ""
            found.append((len(lead), sorted(lead), Contrast(main, tuple(pairs), tuple(signs))))
    return tuple(contrast for *_, contrast in sorted(found, key=lambda item: item[:2]))


def _standard(count: int, resolution: str) -> dict[str, str]:
    """Return the generators of the smallest standard fraction of at least this resolution."""
    if count not in STANDARD:
        raise DesignError(
            f"design: no standard fraction of {count} axes is known, only of {min(STANDARD)} to {max(STANDARD)}; give "
            f"generators, for example {EXAMPLE}"
        )
    fitting = [text for least, text in STANDARD[count] if least >= RESOLUTIONS[resolution]]
    if not fitting:
        raise DesignError(
            f"design: {count} axes have no fraction of resolution {resolution}; ask for a lower one, or remove design "
            "to run every combination"
        )
    return dict(part.split("=") for part in fitting[0].split())


def _check_axes(axes: Mapping[str, Axis]) -> None:
    if len(axes) > len(LETTERS):
        raise DesignError(f"design: {len(axes)} axes; expected at most {len(LETTERS)}")
    if len(axes) < 3:
        raise DesignError(f"design: a fraction needs at least three axes, got {', '.join(axes) or 'none'}")
    for name, axis in axes.items():
        if len(axis) != 2:
            labels = ", ".join(axis)
            raise DesignError(f"design: axis {name} has the labels {labels}; expected two, first low and then high")


def _check_generators(generators: Mapping[str, str], letters: str) -> None:
    basic = [letter for letter in letters if letter not in generators]
    for letter, word in generators.items():
        if letter not in letters:
            raise DesignError(f"design: generator {letter}={word}: the axes have the letters {', '.join(letters)}")
        if len(word) < 2 or len(set(word)) < len(word) or not set(word) <= set(basic):
            raise DesignError(
                f"design: generator {letter}={word}: expected two or more of the letters {', '.join(basic)}, which "
                "have no generator of their own, each once"
            )
