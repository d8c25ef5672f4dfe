from __future__ import annotations

import numpy as np

from xtc_study.analysis.effects import effects
from xtc_study.analysis.stats import Difference


def difference(low: float, high: float) -> Difference:
    """Of 1,001 resamples spread evenly, in points."""
    drawn = np.linspace(low, high, 1001) / 100
    return Difference(float(drawn.mean()), low / 100, high / 100, 3, 100, len(drawn), 0, drawn)


def test_effects_show_the_sign_and_the_size_of_each_difference() -> None:
    found = effects(
        {
            "nothing": difference(-0.5, 0.9),
            "small and sure": difference(0.2, 0.8),
            "large": difference(-3.0, -1.5),
            "wide": difference(-2.0, 3.0),
        }
    )
    assert found["interval"].tolist() == ["holds zero", "above zero", "below zero", "holds zero"]
    surely = "surely within a point"
    assert found["size of the effect"].tolist() == [surely, surely, "surely more than a point", "not known"]
    assert found.loc["large", "points"] == "\N{MINUS SIGN}2.25"
    assert found["p (Holm)"].tolist() == ["1.000", "0.008", "0.008", "1.000"]


def test_effects_with_another_margin_and_without_arms() -> None:
    found = effects({"nothing": difference(-0.5, 0.9)}, margin=0.005)
    assert found["size of the effect"].tolist() == ["not known"]
    assert effects({"wide": difference(-2.0, 3.0)}, 0.04)["size of the effect"].tolist() == ["surely within 4 points"]
    assert effects({}).empty
