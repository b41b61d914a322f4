"""What a vetting leaves on disk: a page, findings as SARIF, and a record that may be signed."""

from __future__ import annotations

from dataclasses import dataclass

from turncoat.vetting.opening import candidate_path
from turncoat.vetting.records import Vetting
from turncoat.vetting.signature import ENDING

from .export.whole_file import require_apart, require_place, write_out
from .output import write_json
from .vetting_page import vetting_page
from .vetting_record import RecordBegun, begin_record
from .vetting_run import VettingOrder
from .vetting_sarif import to_sarif


@dataclass(frozen=True)
class Papers:
    """Files to write; empty for those that were not asked for, `-` for standard output."""

    html: str
    sarif: str
    record: str
    sign: str
    """Private key."""

    def begin(self, order: VettingOrder) -> RecordBegun | None:
        """Refuses before minutes of work what could not be written after them, and takes the candidate's digests.

        Raises:
            InputError: No place for a file, two options with one file, no key, or nothing to sign with.
        """
        written = {"--html": self.html, "--record": self.record, "--sarif": self.sarif}
        for option, path in written.items():
            if path and path != "-":
                require_place(path, option)
        signature = {"the signature": f"{self.record}{ENDING}" if self.sign else ""}
        require_apart(written | signature, {"--sign": self.sign, **order.read})
        return begin_record(candidate_path(order.what), self.record, self.sign)

    def write(self, vetting: Vetting, begun: RecordBegun | None) -> None:
        """Writes what was asked for."""
        if begun:
            begun.write(vetting)
        if self.html:
            write_out(self.html, vetting_page(vetting), option="--html")
        if self.sarif:
            write_json(self.sarif, to_sarif(vetting), "--sarif")
