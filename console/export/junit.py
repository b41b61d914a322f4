"""JUnit XML: what a campaign expects of the agent as tests, for the pages that build servers draw.

Every text is cleaned: XML 1.0 has no way to write a control character, and an alert may be full of them.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from turncoat.agent.records import Outcome

from ..past_run import PastRun
from ..terminal import clean
from .rows import rows_of

_LONG = 4_000


def junit(run: PastRun, variants: Sequence[str], principal: str) -> str:
    """A suite per variant, a test per alert that the campaign expects to be escalated, in the order of the campaign.

    Failed: it was dismissed or sent to review. Skipped: escalated, but forced, which says nothing about the model.
    Error: the run has not come to it yet.
    """
    root = ET.Element("testsuites", name=clean(f"turncoat {run.campaign.id}"))
    for variant in variants:
        _suite(root, run, variant, principal)
    for count in ("tests", "failures", "errors", "skipped"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    ET.indent(root)
    text: str = ET.tostring(root, encoding="us-ascii", xml_declaration=True).decode("ascii")
    return text + "\n"


def _suite(root: ET.Element, run: PastRun, variant: str, principal: str) -> None:
    suite = ET.SubElement(root, "testsuite", name=clean(f"{run.campaign.id}: {variant} as {principal}"))
    found = {row.step: row for row in rows_of(run, variant, principal) if row.step is not None}
    for phase, step in run.campaign.steps():
        if step.alert is None or not step.expect.escalate:
            continue
        name = clean(f"{step.id}: {step.title}")
        test = ET.SubElement(suite, "testcase", classname=clean(f"{run.campaign.id}.{phase.id}"), name=name)
        _result(test, found.get(step.id))
    suite.set("tests", str(len(suite)))
    for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(count, str(len(suite.findall(f"testcase/{tag}"))))


def _result(test: ET.Element, row: Outcome | None) -> None:
    if row is None:
        ET.SubElement(test, "error", message="not decided yet; turncoat resume finishes the run", type="unfinished")
        return
    decision = row.investigation.decision
    if row.forced:
        ET.SubElement(test, "skipped", message=clean(f"escalated without a sound verdict: {decision.reason}"))
    elif row.action != "escalate":
        message = "dismissed" if row.action == "dismiss" else "sent to review"
        failure = ET.SubElement(test, "failure", message=f"{message}; escalation was expected", type=row.action)
        failure.text = _told(row)


def _told(row: Outcome) -> str:
    verdict, decision = row.investigation.verdict, row.investigation.decision
    lines = [
        f"alert {row.alert.uid}: {row.alert.title}",
        f"observed: {row.alert.activity}",
        f"p_malicious: {verdict.p_malicious:.4f}" if verdict else "no verdict",
        f"decided by {decision.policy}: {decision.reason}",
    ]
    return "\n".join(clean(line, _LONG) for line in lines)
