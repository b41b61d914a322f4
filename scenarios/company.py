"""What every simulated company is made of: sites, departments, roles, and the words that its names are built from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    """One place where the company has people."""

    country: str
    """ISO 3166 code."""
    locale: str
    """Faker locale that names its people."""
    opens: int
    """Usual first working hour, UTC."""
    closes: int
    network: str
    """RFC 1918 range of its offices."""
    share: int
    """Relative number of people."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SITES = (
    Site("GB", "en_GB", 9, 17, "10.10.0.0/16", 6),
    Site("DE", "de_DE", 8, 16, "10.20.0.0/16", 4),
    Site("PT", "pt_PT", 9, 17, "10.30.0.0/16", 3),
    Site("US", "en_US", 14, 22, "10.40.0.0/16", 4),
    Site("IN", "en_IN", 4, 13, "10.50.0.0/16", 3),
    Site("NL", "nl_NL", 8, 16, "10.60.0.0/16", 2),
)

SHIFTS = ((6, 14), (14, 22), (22, 6))
"""Working hours of people on shifts, UTC; the last one passes midnight."""

ROLES: dict[str, tuple[tuple[str, str], ...]] = {
    "Finance": (("analyst", "standard"), ("accountant", "standard"), ("controller", "privileged")),
    "Legal": (("counsel", "standard"), ("paralegal", "standard"), ("records officer", "privileged")),
    "Human Resources": (("recruiter", "standard"), ("payroll officer", "privileged"), ("partner", "standard")),
    "Engineering": (("developer", "standard"), ("site engineer", "privileged"), ("release engineer", "admin")),
    "Sales": (("account manager", "standard"), ("sales engineer", "standard"), ("sales operations", "privileged")),
    "Marketing": (("designer", "standard"), ("campaign manager", "standard"), ("web editor", "privileged")),
    "IT Operations": (("system administrator", "admin"), ("service desk", "privileged"), ("network engineer", "admin")),
    "Security": (("security analyst", "privileged"), ("security engineer", "admin"), ("auditor", "standard")),
    "Logistics": (("dispatcher", "standard"), ("planner", "standard"), ("warehouse lead", "standard")),
    "Research": (("scientist", "standard"), ("lab technician", "standard"), ("computing lead", "privileged")),
}
"""Department -> (role, privilege)."""

ON_SHIFTS = frozenset({"dispatcher", "warehouse lead", "service desk", "security analyst", "site engineer"})
"""Roles of which some people work shifts."""

SERVERS = {"FS": "file", "DB": "database", "BLD": "build", "WEB": "web", "DC": "domain", "APP": "application"}
"""Prefix of a server's name -> its purpose."""

CRITICAL = frozenset({"DB", "DC"})

CODE_NAMES = _words(
    "AMBER ANCHOR ARROW ASPEN ATLAS BASALT BEACON BIRCH BRAVO BRIDGE CANYON CEDAR CLIFF CLOVER COBALT COMET COPPER "
    "CORAL CRANE DELTA DUNE EAGLE EMBER FALCON FJORD FLINT FOREST GARNET GLACIER GRANITE HARBOR HAZEL HERON INDIGO "
    "IRON IVORY JADE JASPER JUNIPER KESTREL LAGOON LARCH LINDEN LOTUS LUNAR MAPLE MARBLE MEADOW MERLIN MESA NEBULA "
    "NICKEL OAK OCEAN ONYX OPAL ORBIT ORCHID ORION OSPREY PEARL PEBBLE PINE PLOVER POPLAR PRISM QUARTZ RAVEN REEF "
    "RIDGE RIVER ROBIN ROWAN SABLE SAFFRON SIERRA SILVER SLATE SOLAR SPRUCE STONE SUMMIT TEAL TERRA THISTLE TIMBER "
    "TOPAZ TUNDRA VALLEY VEGA WALNUT WILLOW WREN ZENITH ZINC"
)
"""Names of servers, and the first half of outside domains."""

COMPANIES = _words(
    "brightwell calderon dunmore eastlake fairmont greyfield halden inverloch kestrelle lindqvist marlowe northgate "
    "oakhurst pemberly quarrington rosedale stanmore tideway umberline vexford westmoor yarrowdale ashcombe belgrave "
    "carrick dovecote ellerton farnham"
)
"""First labels of companies' own domains."""

TRADES = _words(
    "advisors audit capital cargo consult courier design freight labs ledger legal media parts print supply"
)
"""Second half of partners' domains."""

SERVICES = _words("box cdn cloud drop files host mail share sync vault web zone")
"""Second half of other outside domains."""

CATEGORIES = ("business", "hosting", "file sharing", "cloud", "residential", "anonymiser")
"""What reputation services call an indicator."""

MEASURES = {"MB": 400, "files": 300, "sign-ins": 20, "calls": 500, "messages": 120}
"""Unit of a daily measure -> scale of its usual maximum."""

NO_LOGINS = frozenset(_words(
    "april august bill christian dale dean drew faith grace grant grey hope june list mark mail page rob rose "
    "summer user victor will admin root guest service system test temp"
))  # fmt: skip
"""First names that are also words of alerts; renaming such a person would touch more than the person."""

RESERVED = frozenset({"alice", "nora", "carla", "bridget", "tessa", "hannah"})
"""First names that no world draws: they belong to campaigns' actors and their twins."""
