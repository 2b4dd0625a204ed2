"""Messages in the terms of who typed: options on the command line, keywords in Python."""

import pandas as pd
import pytest
from typer.testing import CliRunner

import pellucid as pld
from pellucid.cli.app import app
from pellucid.cli.spoken import spoken

AUDIT = ("missing", "type", "unit", "schema", "target")


@pytest.mark.parametrize(
    ("text", "options", "want"),
    [
        (
            "declare missing={'net': [...]} (--missing) or set types={'net': 'text'} (--type).",
            AUDIT,
            "declare --missing net=CODE or set --type net=text.",
        ),
        ("Set types={...} (--type COLUMN=TYPE) for columns to be used.", AUDIT, "Set --type COLUMN=TYPE for columns to be used."),
        ("read it with missing={'my age': [-1, -9]}", AUDIT, "read it with --missing 'my age=-1' --missing 'my age=-9'"),
        ("set with_types(docno='identifier') unless it measures", AUDIT, "set --type docno=identifier unless it measures"),
        ("use method='shapley', or leave budget out", ("method", "budget"), "use --method shapley, or leave budget out"),
        ("Raise budget=, or pass fewer as background=.", (), "Raise budget=, or pass fewer as background=."),
        ("Raise budget=, or ask about fewer columns.", ("target",), "Ask about fewer columns."),
        ("try what leaving them out changes (pld.trial)", AUDIT, "try what leaving them out changes (pellucid audit --prove)"),
        ("pass background=, some rows of the training data", ("out",), "pass background=, some rows of the training data"),
    ],
)
def test_keywords_become_the_options_of_the_command(text, options, want):
    assert spoken(text, options) == want


def test_findings_and_errors_speak_of_options_only_where_a_command_was_typed(tmp_path):
    frame = pd.DataFrame(
        {"age": [31, 45, 27, 58, 39, 44, 62, 51, 33, 29] * 5 + [-999] * 3, "net": [f"{v}.5" for v in range(52)] + ["6..2"]}
    )
    frame.to_csv(tmp_path / "people.csv", index=False)
    said = CliRunner().invoke(app, ["audit", str(tmp_path / "people.csv"), "--json"]).output
    assert "--missing age=-999" in said
    assert "missing={" not in said
    wrong = CliRunner().invoke(app, ["fit", str(tmp_path / "people.csv"), "--target", "age", "--out", str(tmp_path / "a.pellucid")])
    assert "declare --missing net=CODE or set --type net=category" in wrong.output
    assert any("missing={'age': [-999]}" in f.remedy for f in pld.audit(frame))
