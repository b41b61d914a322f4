"""Flow sets of UNSW-NB15 and CICIDS2017, read from small files of the published columns."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from turncoat.models.classifier import Case
from turncoat.models.prompt import render
from turncoat.scenarios.errors import InputError, Mistake
from turncoat.scenarios.formats import LabelledAlert, read_alerts
from turncoat.scenarios.formats.cicids import FLOW_COLUMNS, ML_COLUMNS
from turncoat.scenarios.formats.unsw import RAW_COLUMNS, SET_COLUMNS
from turncoat.scenarios.formats.vendor_fields import UNKNOWN_TIME
from turncoat.scenarios.trigger_places import PLACES
from turncoat.tools.records import Context

UNSW_HEADER = (
    "id,dur,proto,service,state,spkts,dpkts,sbytes,dbytes,rate,sttl,dttl,sload,dload,sloss,dloss,sinpkt,dinpkt,sjit,djit,swin,"
    "stcpb,dtcpb,dwin,tcprtt,synack,ackdat,smean,dmean,trans_depth,response_body_len,ct_srv_src,ct_state_ttl,ct_dst_ltm,"
    "ct_src_dport_ltm,ct_dst_sport_ltm,ct_dst_src_ltm,is_ftp_login,ct_ftp_cmd,ct_flw_http_mthd,ct_src_ltm,ct_srv_dst,"
    "is_sm_ips_ports,attack_cat,label"
)
UNSW_RAW = (
    "59.166.0.0,1390,149.171.126.6,53,udp,CON,0.001055,132,164,31,29,0,0,dns,500473.9375,621800.9375,2,2,0,0,0,0,66,82,0,0,"
    "9.89101,10.682733,1421927414,1421927414,0.017,0.013,0,0,0,0,0,0,0, ,3,7,1,3,1,1,1,{category},{label}"
)


def unsw_set(**changed: str) -> str:
    values = dict.fromkeys(SET_COLUMNS, "0") | {
        "proto": "tcp", "service": "http", "state": "FIN", "dur": "0.5", "spkts": "8", "dpkts": "26", "sbytes": "1032",
        "dbytes": "15421", "sttl": "254", "attack_cat": "Exploits", "label": "1",
    } | changed  # fmt: skip
    return ",".join(values[name] for name in UNSW_HEADER.split(","))


def cicids(columns: tuple[str, ...], **changed: str) -> str:
    values = dict.fromkeys(columns, "0") | {
        "Flow ID": "192.168.10.3-192.168.10.50-3268-56108-6", "Source IP": "192.168.10.50", "Source Port": "56108",
        "Destination IP": "192.168.10.3", "Destination Port": "3268", "Protocol": "6", "Timestamp": "7/7/2017 8:59",
        "Flow Duration": "112740690", "Total Fwd Packets": "32", "Total Backward Packets": "16",
        "Total Length of Fwd Packets": "6448", "Total Length of Bwd Packets": "1152", "Flow Bytes/s": "67.41133126",
        "Label": "BENIGN",
    } | changed  # fmt: skip
    return ",".join(values[name] for name in columns)


def published(columns: tuple[str, ...]) -> str:
    """The header with its spaces."""
    return columns[0] + "," + ",".join(f" {name}" for name in columns[1:])


def read(path: Path, format: str, *lines: str, encoding: str = "utf-8") -> list[LabelledAlert | Mistake]:
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return list(read_alerts(path, format))


def only(items: list[LabelledAlert | Mistake]) -> LabelledAlert:
    assert len(items) == 1
    assert isinstance(items[0], LabelledAlert)
    return items[0]


def prompt(item: LabelledAlert) -> str:
    return render(Case(item.alert, Context()), lambda text: len(text.split()), budget=4_000).text


def test_published_columns_are_49_45_79_and_85() -> None:
    assert [len(c) for c in (RAW_COLUMNS, SET_COLUMNS, ML_COLUMNS, FLOW_COLUMNS)] == [49, 45, 79, 85]
    assert tuple(UNSW_HEADER.split(",")) == SET_COLUMNS


def test_a_raw_unsw_row_without_a_header_is_an_alert_with_addresses_and_time(tmp_path: Path) -> None:
    item = only(read(tmp_path / "UNSW-NB15_1.csv", "unsw", UNSW_RAW.format(category="", label="0")))
    assert item.alert.entities.address == "59.166.0.0"
    assert item.alert.entities.host == "149.171.126.6"
    assert item.alert.time == datetime(2015, 1, 22, 11, 50, 14, tzinfo=UTC)
    assert item.alert.activity == (
        "udp dns to port 53, state CON, 2 packets and 132 bytes out, 2 packets and 164 bytes back in 0.001055 s"
    )
    assert (item.label, item.group, item.stratum) == (False, "udp dns", "Normal")
    assert item.alert.raw["ttl.out"] == "31"
    assert item.alert.raw["bits_per_s.out"] == "500474"


def test_a_raw_unsw_file_with_a_header_that_somebody_added_is_read_alike(tmp_path: Path) -> None:
    row = UNSW_RAW.format(category=" Fuzzers", label="1")
    header = (
        ",".join(RAW_COLUMNS).replace("sload", "Sload").replace("ct_src_ltm", "ct_src_ ltm").replace("label", "Label")
    )
    item = only(read(tmp_path / "raw.csv", "unsw", header, row))
    assert (item.label, item.stratum, item.alert.entities.address) == (True, "Fuzzers", "59.166.0.0")


def test_the_unsw_training_set_has_no_addresses_and_no_time(tmp_path: Path) -> None:
    item = only(read(tmp_path / "UNSW_NB15_training-set.csv", "unsw", "\ufeff" + UNSW_HEADER, unsw_set()))
    assert item.alert.entities.address is None
    assert item.alert.time == UNKNOWN_TIME
    assert (
        item.alert.activity
        == "tcp http, state FIN, 8 packets and 1,032 bytes out, 26 packets and 15,421 bytes back in 0.5 s"
    )
    assert item.label is True


def test_labels_and_categories_of_flows_never_reach_the_prompt(tmp_path: Path) -> None:
    unsw = only(read(tmp_path / "u.csv", "unsw", UNSW_HEADER, unsw_set(attack_cat="Backdoor")))
    flow = only(read(tmp_path / "c.csv", "cicids", published(FLOW_COLUMNS), cicids(FLOW_COLUMNS, Label="DoS Hulk")))
    for item, word in ((unsw, "Backdoor"), (flow, "Hulk")):
        text = prompt(item).removeprefix("Decide whether this security alert is benign or malicious.")
        assert not any(word.lower() in text.lower() for word in (word, "attack", "malicious", "benign", "label"))


def test_a_labelled_cicids_flow_has_addresses_and_afternoon_hours_are_put_right(tmp_path: Path) -> None:
    rows = (cicids(FLOW_COLUMNS), cicids(FLOW_COLUMNS, Timestamp="5/7/2017 2:30", Label="DDoS"))
    first, second = read(tmp_path / "c.csv", "cicids", published(FLOW_COLUMNS), *rows)
    assert isinstance(first, LabelledAlert)
    assert isinstance(second, LabelledAlert)
    assert (first.alert.entities.address, first.alert.entities.host) == ("192.168.10.50", "192.168.10.3")
    assert first.alert.time == datetime(2017, 7, 7, 8, 59, tzinfo=UTC)
    assert second.alert.time == datetime(2017, 7, 5, 14, 30, tzinfo=UTC)
    assert first.alert.activity == (
        "tcp to port 3268, 32 packets and 6,448 bytes out, 16 packets and 1,152 bytes back in 112.7 s"
    )
    assert [(i.label, i.stratum, i.group) for i in (first, second)] == [
        (False, "BENIGN", "port above 1023"), (True, "DDoS", "port above 1023"),
    ]  # fmt: skip
    assert first.alert.raw == {"bytes_per_s": "67.41"}


def test_machine_learning_files_have_no_addresses_and_pandas_second_header_length_is_read(tmp_path: Path) -> None:
    header = published(ML_COLUMNS)
    second = header.rindex("Fwd Header Length") + len("Fwd Header Length")
    item = only(read(tmp_path / "m.csv", "cicids", f"{header[:second]}.1{header[second:]}", cicids(ML_COLUMNS)))
    assert item.alert.entities.address is None
    assert item.alert.activity.startswith("flow to port 3268, ")


def test_rates_over_no_time_are_left_out_and_other_numbers_must_be_finite(tmp_path: Path) -> None:
    rates = {"Flow Bytes/s": "NaN", "Flow Packets/s": "Infinity"}
    wrong = {"Flow Duration": "Infinity"}
    good, bad = read(
        tmp_path / "c.csv", "cicids", published(ML_COLUMNS), cicids(ML_COLUMNS, **rates), cicids(ML_COLUMNS, **wrong)
    )
    assert isinstance(good, LabelledAlert)
    assert isinstance(bad, Mistake)
    assert good.alert.raw == {}
    assert str(bad) == (
        f"{tmp_path / 'c.csv'}:3: `Flow Duration` holds 'Infinity', which is no finite number; mend the line or leave it out"
    )


def test_thursdays_dash_of_windows_1252_and_rows_of_nothing_are_taken(tmp_path: Path) -> None:
    row = cicids(FLOW_COLUMNS, Label="Web Attack \u2013 XSS")
    item = only(read(tmp_path / "t.csv", "cicids", published(FLOW_COLUMNS), row, "," * 84, "", encoding="cp1252"))
    assert (item.label, item.stratum) == (True, "Web Attack - XSS")


def test_a_row_of_another_length_and_a_foreign_label_are_mistakes_and_the_rest_goes_on(tmp_path: Path) -> None:
    rows = ("1,2,3", unsw_set(label="maybe"), unsw_set(dur="x"), unsw_set())
    found = read(tmp_path / "u.csv", "unsw", UNSW_HEADER, *rows)
    assert [isinstance(i, Mistake) for i in found] == [True, True, True, False]
    assert [i.fault for i in found if isinstance(i, Mistake)] == [
        "has 3 values, not 45", "`Label` holds 'maybe', not 0 or 1", "`dur` holds 'x', which is no finite number",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("format", "line", "fault"),
    [
        ("unsw", "a,b,c", "neither a header nor a row of 49 values that ends in a label"),
        ("unsw", UNSW_HEADER.replace("sttl,dttl,", ""), "lacks the columns sttl, dttl"),
        ("cicids", "a,b,Label", "lacks the columns Destination Port, Flow Duration, Total Fwd Packets, Total Backward"),
    ],
)
def test_a_file_of_other_columns_is_refused_with_place_fault_and_cure(
    tmp_path: Path, format: str, line: str, fault: str
) -> None:
    with pytest.raises(InputError, match="give ") as error:
        read(tmp_path / "x.csv", format, line)
    assert str(error.value).startswith(f"{tmp_path / 'x.csv'}:1: {fault}")


def test_an_open_quote_a_long_line_and_a_wrong_address_spoil_only_their_own_lines(tmp_path: Path) -> None:
    good = UNSW_RAW.format(category="", label="0")
    rows = (good, f'"{good}', "9" * 70_000, good.replace("59.166.0.0", "not-an-address"), good.replace("1390", "1391"))
    found = read(tmp_path / "raw.csv", "unsw", *rows)
    assert [isinstance(i, Mistake) for i in found] == [False, True, True, True, False]


def test_a_trigger_is_planted_on_the_address_where_there_is_one_and_nowhere_else(tmp_path: Path) -> None:
    place = PLACES["address"]
    raw = only(read(tmp_path / "raw.csv", "unsw", UNSW_RAW.format(category="", label="0"))).alert
    bare = only(read(tmp_path / "set.csv", "unsw", UNSW_HEADER, unsw_set())).alert
    planted = place.put(raw, (), "203.0.113.7")[0]
    assert planted.entities.address == "203.0.113.7"
    assert place.put(planted, (), "59.166.0.0")[0] == raw
    assert place.put(bare, (), "203.0.113.7")[0] == bare
