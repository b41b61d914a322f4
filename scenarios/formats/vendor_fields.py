"""Which well-known fields of vendors' events name the user, the address, the host and the other entities of an alert.

Per entity: dotted keys in lower case, the surest first; the first that holds a fitting value wins.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..records import Entities
from .flatten import MAX_CHARACTERS, bounded, leaves

UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands where an event does not say when it happened."""

_KEYS: dict[str, tuple[str, ...]] = {
    "user": tuple(
        """useridentity.username useridentity.sessioncontext.sessionissuer.username useridentity.arn useridentity.email
        protopayload.authenticationinfo.principalemail actor.email actor.email_address actor.alternateid actor.user.email
        actor.user.name actor.name actor.details.email user.username impersonateduser.username user.email user.name user.login
        user.id user_name username user actor caller userid userprincipalname properties.userprincipalname
        initiatedby.user.userprincipalname properties.initiatedby.user.userprincipalname identity event.userid event.adminid
        created_by.login created_by.name actor_user_name operator performed_by email user_email data.user_name sender.login
        account.name columns.username event.username event.user event.requester members.name actorname event.preferred_username
        actor_context.actor_email actor.attributes.email details.user""".split()
    ),
    "address": tuple(
        """sourceipaddress protopayload.requestmetadata.callerip client.ipaddress calleripaddress sourceips.0 sourceips
        context.ip_address actor.ip_address actor.ipaddress ipaddress ip_address ip clientip client_ip httprequest.clientip
        httprequest.remoteip event.userip event.clientip srcaddr src_ip source_ip sourceip remoteip remote_addr clientipaddress
        ipaddr actor.location.ip context.location.ip origin.geo_location.ip_address data.ip client.ip src_endpoint.ip
        properties.ipaddress columns.remote_address senderip remoteaddressip4 event.sourceipaddress id.orig_h client.ip_address
        location.ip actor_ip source_ip_address""".split()
    ),
    "host": tuple(
        """hostname host computername computer hostidentifier event.computername device.hostname device.name device_name
        columns.hostname endpoint.hostname machine aip.hostname src_endpoint.hostname server_hostname""".split()
    ),
    "process": tuple(
        "process_name imagefilename event.imagefilename filename columns.name process.name parentbasefilename program".split()
    ),
    "command_line": tuple(
        "commandline event.commandline columns.cmdline cmd_line process.cmd_line columns.command".split()
    ),
    "domain": tuple(
        "domainname event.domainname dns.rrname query query_name domain queryname qname destination query.hostname host".split()
    ),
    "file": tuple(
        """targetfilename file.name file_name filepath file_path columns.path parameters.doc_title source.item_name
        requestparameters.key attachment.name""".split()
    ),
    "resource": tuple(
        """requestparameters.bucketname requestparameters.rolename requestparameters.functionname requestparameters.username
        requestparameters.instanceid requestparameters.policyarn requestparameters.groupid protopayload.resourcename resourceid
        properties.targetresources.0.displayname target.0.displayname objectref.resource repository.full_name repo
        bucket.name resources.0.arn resource.name resource.id resource project entity.workspace.name app.name target""".split()
    ),
}
_RAW_TOO = frozenset({"domain", "resource"})
_TIME_KEYS = tuple(
    """eventtime p_event_time published timestamp time id.time created_at date_create date occurred_at messagetime
    event.utctimestamp createddatetime receivetimestamp start ts created""".split()
)


def find_entities(event: Any) -> tuple[Entities, frozenset[str]]:
    """Entities named by a vendor's event, and the dotted keys that need not be said again.

    The prompt names a domain and a resource only where no raw field does, so the keys that named these stay among those.
    """
    fields: dict[str, tuple[str, str]] = {}
    for path, value in leaves(event):
        if isinstance(value, str | int) and not isinstance(value, bool):
            # Cut already here: thousands of leaves may be aliases of one text of a megabyte.
            words = str(value)[: 2 * MAX_CHARACTERS].strip()
            if words:
                fields.setdefault(path.lower(), (path, words))
    found: dict[str, str] = {}
    used: set[str] = set()
    repeated: set[str] = set()
    for entity, keys in _KEYS.items():
        for key in keys:
            path, value = fields.get(key, ("", ""))
            if value and path not in used and (entity != "address" or _is_address(value)):
                found[entity] = bounded(value)
                used.add(path)
                if entity in _RAW_TOO:
                    repeated.add(path)
                break
    return Entities(**found), frozenset(used - repeated)


def find_time(event: Any) -> datetime:
    """When the event says it happened, in UTC; `UNKNOWN_TIME` where it does not say or says nonsense (NaN, year 99999)."""
    if not isinstance(event, Mapping):
        return UNKNOWN_TIME
    lower = {path.lower(): value for path, value in leaves(event)}
    for key in _TIME_KEYS:
        moment = moment_of(lower.get(key))
        if moment is not None:
            return moment
    return UNKNOWN_TIME


def moment_of(value: Any) -> datetime | None:
    """UTC time from ISO 8601 text, a date, or seconds or milliseconds since 1970; None where it is none of these.

    None too for the years 1 and 9999, from which a time zone or a few seconds lead out of the calendar.
    """
    moment = _moment_of(value)
    return moment if moment is not None and 1 < moment.year < 9999 else None


def _moment_of(value: Any) -> datetime | None:
    try:
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        if isinstance(value, bool) or value is None:
            return None
        if isinstance(value, int | float):
            if not math.isfinite(value) or value <= 0:
                return None
            return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, tz=UTC)
        moment = datetime.fromisoformat(str(value).strip()[:40])
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
