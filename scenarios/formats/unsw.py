"""Reads UNSW-NB15: the four raw files without a header, and the training and testing sets with one.

| file | columns | header | addresses, ports, time |
|---|---|---|---|
| UNSW-NB15_1.csv to UNSW-NB15_4.csv | 49 | none; named in NUSW-NB15_features.csv | yes |
| UNSW_NB15_training-set.csv, UNSW_NB15_testing-set.csv | 45 | yes | no, so no trigger can be planted on an address |

A raw file to which somebody gave its header is read too. Labels: `Label` 1 is an attack, its kind is `attack_cat`.

Source of the set: https://research.unsw.edu.au/projects/unsw-nb15-dataset (Moustafa and Slay 2015).
Limits: simulated attacks come from few addresses and with their own TTLs (`sttl` 254), which give the label away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import InputError, Mistake
from .flatten import bounded
from .flow_rows import Cells, CsvRow, count, flow_alert, lacking, measurements, number, read_flows
from .records import LabelledAlert
from .vendor_fields import UNKNOWN_TIME, moment_of

RAW_COLUMNS = tuple(
    """srcip sport dstip dsport proto state dur sbytes dbytes sttl dttl sloss dloss service sload dload spkts dpkts swin dwin
    stcpb dtcpb smeansz dmeansz trans_depth res_bdy_len sjit djit stime ltime sintpkt dintpkt tcprtt synack ackdat
    is_sm_ips_ports ct_state_ttl ct_flw_http_mthd is_ftp_login ct_ftp_cmd ct_srv_src ct_srv_dst ct_dst_ltm ct_src_ltm
    ct_src_dport_ltm ct_dst_sport_ltm ct_dst_src_ltm attack_cat label""".split()
)
"""In lower case, in which the features file mixes cases; it also writes `ct_src_ ltm`."""
SET_COLUMNS = tuple(
    """id dur proto service state spkts dpkts sbytes dbytes rate sttl dttl sload dload sloss dloss sinpkt dinpkt sjit djit swin
    stcpb dtcpb dwin tcprtt synack ackdat smean dmean trans_depth response_body_len ct_srv_src ct_state_ttl ct_dst_ltm
    ct_src_dport_ltm ct_dst_sport_ltm ct_dst_src_ltm is_ftp_login ct_ftp_cmd ct_flw_http_mthd ct_src_ltm ct_srv_dst
    is_sm_ips_ports attack_cat label""".split()
)
PRODUCT = "Argus flow"
_SHARED = {
    "sttl": "ttl.out", "dttl": "ttl.back", "sloss": "lost.out", "dloss": "lost.back", "sload": "bits_per_s.out",
    "dload": "bits_per_s.back", "swin": "window.out", "tcprtt": "rtt_s", "trans_depth": "http.depth",
    "ct_state_ttl": "recent.same_state_ttl", "ct_srv_src": "recent.same_service_source",
    "ct_srv_dst": "recent.same_service_target", "ct_dst_ltm": "recent.same_target",
    "ct_src_dport_ltm": "recent.same_source_port", "ct_dst_src_ltm": "recent.same_pair",
}  # fmt: skip
_OF_RAW = _SHARED | {"smeansz": "packet_bytes.out", "dmeansz": "packet_bytes.back", "res_bdy_len": "http.body_bytes"}
_OF_SET = _SHARED | {"smean": "packet_bytes.out", "dmean": "packet_bytes.back", "response_body_len": "http.body_bytes"}
_LABELS = {"0": False, "1": True, "0.0": False, "1.0": True}


def read_unsw(path: Path) -> Iterator[LabelledAlert | Mistake]:
    """Flows of one file of UNSW-NB15, in its order.

    Raises:
        InputError: The file is of neither form.
    """
    yield from read_flows(path, _begin, _parse)


def _begin(path: Path, row: CsvRow) -> tuple[Sequence[str], bool]:
    names = tuple(cell.lower().replace(" ", "") for cell in row.cells)
    if "label" not in names:
        if len(row.cells) == len(RAW_COLUMNS) and row.cells[-1] in _LABELS:
            return RAW_COLUMNS, False
        fault = f"neither a header nor a row of {len(RAW_COLUMNS)} values that ends in a label"
        raise InputError.at(row.place, fault, "give UNSW-NB15_1.csv to _4.csv, or a training or testing set")
    wanted = RAW_COLUMNS if "srcip" in names else SET_COLUMNS
    if set(wanted) - set(names):
        raise lacking(path, row, wanted, names, "UNSW-NB15")
    return names, True


def _parse(cells: Cells, row: CsvRow) -> LabelledAlert:
    if cells["label"] not in _LABELS:
        raise ValueError(f"`Label` holds {cells['label'][:40]!r}, not 0 or 1")
    label = _LABELS[cells["label"]]
    with_addresses = "srcip" in cells
    service = "" if cells["service"] in ("-", "") else cells["service"]
    protocol = f"{cells['proto']} {service}".strip()
    time = UNKNOWN_TIME
    if with_addresses:
        time = moment_of(number(cells, "stime")) or UNKNOWN_TIME
    alert = flow_alert(
        cells, row, PRODUCT, time=time, activity=_activity(cells, protocol),
        source=cells["srcip"] if with_addresses else "", target=cells["dstip"] if with_addresses else "",
        raw=measurements(cells, _OF_RAW if with_addresses else _OF_SET),
    )  # fmt: skip
    category = cells["attack_cat"] or ("attack" if label else "Normal")
    return LabelledAlert(alert, label, bounded(protocol, 80), bounded(category, 80), row.place)


def _activity(cells: Cells, protocol: str) -> str:
    port = f" to port {cells['dsport']}" if cells.get("dsport") else ""
    out = f"{count(number(cells, 'spkts'))} packets and {count(number(cells, 'sbytes'))} bytes out"
    back = f"{count(number(cells, 'dpkts'))} packets and {count(number(cells, 'dbytes'))} bytes back"
    seconds = number(cells, "dur") or 0.0
    return f"{protocol}{port}, state {cells['state']}, {out}, {back} in {seconds:.4g} s"
