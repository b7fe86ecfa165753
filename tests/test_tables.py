from __future__ import annotations

from geotranslate.tables import Summary, as_html, as_text


def test_columns_of_numbers_are_aligned_right() -> None:
    assert as_text([["", "mae"], ["all bands", "1.5"], ["1", "22.25"]]) == (
        "             mae\nall bands    1.5\n1          22.25"
    )


def test_html_is_escaped() -> None:
    assert as_html([("<b>", "&", "1")], "right") == (
        "<table><tr><th style='text-align:left'>&lt;b&gt;</th>"
        "<td style='text-align:right'>&amp;</td><td style='text-align:right'>1</td></tr></table>"
    )


def test_a_summary_has_its_values_under_each_other() -> None:
    summary = Summary((("pairs", "6"), ("CRS", "EPSG:4326")))
    assert str(summary) == "pairs  6\nCRS    EPSG:4326"
    assert summary._repr_html_() == as_html(summary.lines)
