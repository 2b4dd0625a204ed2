"""Look a table over before anything is learned from it: slipped units, copies, codes for missing cells."""

from __future__ import annotations

from pellucid import audit
from pellucid.cli.planted import FAULTS, planted_table

table = planted_table(seed=0)
print("planted:", *FAULTS, sep="\n  ")
for finding in audit(table):
    print(f"{finding.severity}: {finding.kind}: {', '.join(finding.columns)}: {finding.evidence}")
