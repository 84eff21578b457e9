"""Characters get their names from the families and slots of the definitions, not from fonts."""

from __future__ import annotations

from typing import Any

import pytest

from nanovl.synth.tex.mathnames import MathNames, Named, slot_font

TABLES: dict[str, list[Any]] = {
    "symbols": [["phi", 0, 1, 30], ["perp", 3, 2, 63], ["bot", 0, 2, 63], ["Gamma", 7, 0, 0],
                ["leq", 3, 2, 20]],
    "delimiters": [["lvert", 4, 2, 106], ["vert", 0, 2, 106], ["langle", 4, 2, 104]],
    "accents": [["bar", 0, 0, 22], ["vec", 0, 1, 126]],
    "keys": [[ord("a"), 7, 7, 97], [ord("1"), 7, 0, 49], [ord("+"), 2, 0, 43],
             [ord(","), 6, 1, 59], [ord("|"), 0, 2, 106]],
    "alphabets": [["mathbf", 8], ["mathcal", 2], ["mathbbm", 5]],
    "families": [[0, "OT1/cmss/m/n/10", "cmss10"], [1, "OML/cmm/m/it/10", "cmmi10"],
                 [2, "OMS/cmsy/m/n/10", "cmsy10"], [5, "U/bbm/m/n/10", "bbm10"],
                 [7, "OT1/cmss/m/it/10", "cmssi10"], [8, "OT1/cmss/bx/n/10", "cmssbx10"]],
}  # fmt: skip


@pytest.mark.parametrize(
    ("family", "slot", "nfss", "kind", "named"),
    [
        (1, 30, "OML/cmm/m/it/10", 0, ("\\phi", None)),
        (2, 63, "OMS/cmsy/m/n/10", 5, ("\\perp", None)),
        (2, 63, "OMS/cmsy/m/n/10", 0, ("\\bot", None)),
        (7, 97, "OT1/cmss/m/it/10", 0, ("a", "")),  # letters of slides: the default is sans
        (0, 115, "OT1/cmss/m/n/10", 0, ("s", "mathrm")),  # \sin
        (0, 0, "OT1/cmss/m/n/10", 0, ("\\Gamma", None)),
        (8, 0, "OT1/cmss/bx/n/10", 0, ("\\mathbf{\\Gamma}", None)),
        (8, 65, "OT1/cmss/bx/n/10", 0, ("A", "mathbf")),
        (5, 65, "U/bbm/m/n/10", 0, ("A", "mathbb")),
        (2, 65, "OMS/cmsy/m/n/10", 0, ("A", "mathcal")),
        (2, 65, "OMS/cmsy/b/n/10", 0, ("A", "boldcal")),
        (1, 30, "OML/cmm/b/it/10", 0, ("\\boldsymbol{\\phi}", None)),
        (9, 30, "OML/cmm/b/it/10", 0, ("\\boldsymbol{\\phi}", None)),  # a family \bm made
        (0, 43, "OT1/cmss/m/n/10", 0, ("{+}", None)),
        (0, 43, "OT1/cmss/m/n/10", -1, ("+", None)),
        (1, 59, "OML/cmm/m/it/10", 0, ("{,}", None)),
        (2, 20, "OMS/cmsy/m/n/10", 4, ("\\mathbin{\\leq}", None)),
        (2, 106, "OMS/cmsy/m/n/10", 6, ("\\lvert", None)),
        (2, 106, "OMS/cmsy/m/n/10", 0, ("|", None)),
    ],
)
def test_find(family: int, slot: int, nfss: str, kind: int, named: tuple[str, str | None]) -> None:
    assert MathNames(TABLES).find(family, slot, nfss, kind) == Named(*named)


def test_what_nothing_defines_has_no_name() -> None:
    assert MathNames(TABLES).find(2, 200, "OMS/cmsy/m/n/10", 0) is None
    assert MathNames({}).find(1, 30, "OML/cmm/m/it/10", 0) is None


def test_one_file_for_two_series_is_not_bold() -> None:
    found = MathNames(TABLES).find(2, 20, "OMS/cmsy/b/n/10", 5, "cmsy10")
    assert found == Named("\\leq", None)


def test_fences_accents_and_spaces() -> None:
    names = MathNames({**TABLES, "muskips": [2 << 16, 4 << 16, 5 << 16]})
    assert names.fence(2, 106) == "|"
    assert names.fence(2, 104) == "\\langle"
    assert names.fence(3, 104) is None
    assert names.accent(1, 126, "") == "\\vec"
    assert names.accent(8, 22, "OT1/cmss/bx/n/10") == "\\bar"
    assert names.accent(9, 22, "OML/cmm/m/it/10") is None
    assert names.spaces[2 << 16] == "\\,"
    assert names.spaces[-2 << 16] == "\\!"


def test_slots_by_encoding() -> None:
    assert slot_font("OML/any/m/it/10") == "cmmi10"
    assert slot_font("U/msb/m/n/10") == "msbm10"
    assert slot_font("U/other/m/n/10") == ""
