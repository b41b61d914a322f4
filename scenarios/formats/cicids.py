"""Reads CICIDS2017: the flow files of MachineLearningCVE and of GeneratedLabelledFlows (TrafficLabelling).

| folder | columns | addresses, source port, protocol, time |
|---|---|---|
| MachineLearningCVE | 79 | no, so no trigger can be planted on an address |
| GeneratedLabelledFlows | 85 | yes |

Column names are published with spaces before them, and `Fwd Header Length` stands twice (pandas calls the second one
`Fwd Header Length.1`; such a file is read too). `Flow Bytes/s` and `Flow Packets/s` hold NaN or Infinity where a flow
took no time; those are left out, while in any other column they are a mistake. The files of Thursday are in Windows-1252
and end in rows of nothing, which are passed over. Label `BENIGN` is benign, any other names an attack.

Times are those of the capture, day before month on a twelve-hour clock without its half: hours before 8 are taken as
afternoon, since traffic was captured from 9 to 17 o'clock. They stand here as if they were UTC.

Source of the set: https://www.unb.ca/cic/datasets/ids-2017.html (Sharafaldin, Lashkari and Ghorbani 2018).
Limits: labels are known to be wrong in places, and flows to be cut wrongly (Engelen, Rimmer and Joosen 2021; Lanvin and
others 2022; Liu and others 2022).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ..errors import Mistake
from .flow_rows import Cells, CsvRow, count, flow_alert, lacking, measurements, number, read_flows
from .records import LabelledAlert
from .vendor_fields import UNKNOWN_TIME

ML_COLUMNS = tuple(
    name.strip()
    for name in """Destination Port, Flow Duration, Total Fwd Packets, Total Backward Packets, Total Length of Fwd Packets,
    Total Length of Bwd Packets, Fwd Packet Length Max, Fwd Packet Length Min, Fwd Packet Length Mean, Fwd Packet Length Std,
    Bwd Packet Length Max, Bwd Packet Length Min, Bwd Packet Length Mean, Bwd Packet Length Std, Flow Bytes/s,
    Flow Packets/s, Flow IAT Mean, Flow IAT Std, Flow IAT Max, Flow IAT Min, Fwd IAT Total, Fwd IAT Mean, Fwd IAT Std,
    Fwd IAT Max, Fwd IAT Min, Bwd IAT Total, Bwd IAT Mean, Bwd IAT Std, Bwd IAT Max, Bwd IAT Min, Fwd PSH Flags,
    Bwd PSH Flags, Fwd URG Flags, Bwd URG Flags, Fwd Header Length, Bwd Header Length, Fwd Packets/s, Bwd Packets/s,
    Min Packet Length, Max Packet Length, Packet Length Mean, Packet Length Std, Packet Length Variance, FIN Flag Count,
    SYN Flag Count, RST Flag Count, PSH Flag Count, ACK Flag Count, URG Flag Count, CWE Flag Count, ECE Flag Count,
    Down/Up Ratio, Average Packet Size, Avg Fwd Segment Size, Avg Bwd Segment Size, Fwd Header Length, Fwd Avg Bytes/Bulk,
    Fwd Avg Packets/Bulk, Fwd Avg Bulk Rate, Bwd Avg Bytes/Bulk, Bwd Avg Packets/Bulk, Bwd Avg Bulk Rate,
    Subflow Fwd Packets, Subflow Fwd Bytes, Subflow Bwd Packets, Subflow Bwd Bytes, Init_Win_bytes_forward,
    Init_Win_bytes_backward, act_data_pkt_fwd, min_seg_size_forward, Active Mean, Active Std, Active Max, Active Min,
    Idle Mean, Idle Std, Idle Max, Idle Min, Label""".split(",")
)
FLOW_COLUMNS = (
    "Flow ID", "Source IP", "Source Port", "Destination IP", "Destination Port", "Protocol", "Timestamp", *ML_COLUMNS[1:],
)  # fmt: skip
PRODUCT = "CICFlowMeter"
_RATES = frozenset(("Flow Bytes/s", "Flow Packets/s"))
_FIELDS = {
    "Flow Bytes/s": "bytes_per_s", "Flow Packets/s": "packets_per_s", "Fwd Packet Length Max": "packet_bytes.out.max",
    "Bwd Packet Length Max": "packet_bytes.back.max", "Packet Length Mean": "packet_bytes.mean",
    "Packet Length Std": "packet_bytes.deviation", "SYN Flag Count": "flags.syn", "FIN Flag Count": "flags.fin",
    "RST Flag Count": "flags.rst", "PSH Flag Count": "flags.psh", "ACK Flag Count": "flags.ack",
    "Init_Win_bytes_forward": "window.out", "Init_Win_bytes_backward": "window.back", "Down/Up Ratio": "back_to_out",
    "Flow IAT Mean": "gap_us.mean", "Flow IAT Max": "gap_us.max", "Active Mean": "active_us.mean",
    "Idle Mean": "idle_us.mean",
}  # fmt: skip
_PROTOCOLS = {"6": "tcp", "17": "udp", "0": "hopopt", "1": "icmp"}
_TIME = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d\d)(?::(\d\d))?")
_NOT_CAPTURED_BEFORE = 8
_WELL_KNOWN = 1024


def read_cicids(path: Path) -> Iterator[LabelledAlert | Mistake]:
    """Flows of one file of CICIDS2017, in its order.

    Raises:
        InputError: The file is of neither folder.
    """
    yield from read_flows(path, _begin, _parse)


def _begin(path: Path, row: CsvRow) -> tuple[Sequence[str], bool]:
    names = tuple(re.sub(r"\.\d+$", "", name) for name in row.cells)
    wanted = FLOW_COLUMNS if "Source IP" in names else ML_COLUMNS
    if set(wanted) - set(names):
        raise lacking(path, row, wanted, names, "CICIDS2017")
    return names, True


def _parse(cells: Cells, row: CsvRow) -> LabelledAlert:
    # The dash of "Web Attack - XSS" is one of Windows-1252, and lost in many copies.
    category = re.sub(r"[^\x20-\x7e]+", "-", cells["Label"])
    if not category:
        raise ValueError("`Label` holds nothing")
    port = number(cells, "Destination Port")
    with_addresses = "Source IP" in cells
    alert = flow_alert(
        cells, row, PRODUCT, time=_time(cells["Timestamp"]) if with_addresses else UNKNOWN_TIME,
        activity=_activity(cells, count(port).replace(",", "")),
        source=cells["Source IP"] if with_addresses else "", target=cells["Destination IP"] if with_addresses else "",
        raw=measurements(cells, _FIELDS, _RATES),
    )  # fmt: skip
    group = f"port {port:.0f}" if port is not None and port < _WELL_KNOWN else "port above 1023"
    return LabelledAlert(alert, category.upper() != "BENIGN", group, category[:80], row.place)


def _activity(cells: Cells, port: str) -> str:
    number_of_protocol = cells.get("Protocol", "")
    protocol = _PROTOCOLS.get(
        number_of_protocol, f"protocol {number_of_protocol[:20]}" if number_of_protocol else "flow"
    )
    out = (
        f"{count(number(cells, 'Total Fwd Packets'))} packets and {count(number(cells, 'Total Length of Fwd Packets'))}"
    )
    back = f"{count(number(cells, 'Total Backward Packets'))} packets and "
    back += count(number(cells, "Total Length of Bwd Packets"))
    seconds = (number(cells, "Flow Duration") or 0.0) / 1e6
    return f"{protocol} to port {port}, {out} bytes out, {back} bytes back in {seconds:.4g} s"


def _time(text: str) -> datetime:
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError(f"`Timestamp` holds {text[:40]!r}, not day/month/year hour:minute")
    day, month, year, hour, minute, second = (int(part or 0) for part in match.groups())
    if hour < _NOT_CAPTURED_BEFORE:
        hour += 12
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
