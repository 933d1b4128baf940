"""What the clinical files hold, by patient: as discovery counts it and the stage takes it."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fvlm_data.clinical.sources import Told, read_values
from fvlm_data.clinical.sources.told import NO_PATIENT
from fvlm_data.identity.ids import file_token, keyed_id, link_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from fvlm_data.clinical.config import ClinicalConfig
    from fvlm_data.clinical.sources.told import Aside


@dataclass(slots=True)
class Offer:
    """All values of a patient, or all values without one that are faulty alike, of one file.

    `name` is the keyed hash of the patient's number, None where there is no patient; `path` the
    file's path for the vault. `fault` is that of values without a patient.
    """

    file: str
    path: str
    name: str | None
    fault: Aside | None = None
    values: int = 0
    size_bytes: int = 0
    _sum: int = 0

    def add(self, told: Told) -> None:
        """Count a value; the fingerprint does not depend on the order of values."""
        content = "\x1f".join(told.content).encode(errors="surrogatepass")
        hashed = int.from_bytes(hashlib.sha256(content).digest(), "big")
        self._sum = (self._sum + hashed) % 2**256
        self.values += 1
        self.size_bytes += len(content)

    @property
    def fingerprint(self) -> str:
        """Hash of what the values are, however they are ordered."""
        return f"{self._sum:064x}{self.values:x}"


@dataclass(slots=True)
class _Named:
    """Hashes of patients' numbers, each made once."""

    key: bytes
    known: dict[tuple[str, str], str] = field(default_factory=dict)

    def of(self, told: Told) -> str:
        number = (told.patient, told.issuer)
        if number not in self.known:
            self.known[number] = link_key(
                "patient_id", told.patient, told.issuer or None, key=self.key
            )
        return self.known[number]


def offers_of(key: bytes, config: ClinicalConfig, naming: Any) -> dict[str, Offer]:
    """What there is of each patient in each file, by token.

    Raises:
        ClinicalSourceError: a source is missing, or a file of it cannot be read.
    """
    made: dict[str, Offer] = {}
    for file, path, name, told in _values(key, config, naming):
        fault = None if name else told.fault or NO_PATIENT
        token = keyed_id(key, "f", "clinical", file, name or (fault.reason if fault else ""))
        offer = made.setdefault(token, Offer(file, path, name, fault))
        offer.add(told)
    return made


def values_of(
    key: bytes, config: ClinicalConfig, naming: Any, wanted: Collection[tuple[str, str]]
) -> dict[tuple[str, str], list[Told]]:
    """Values of the wanted (token of the file, hash of the patient's number).

    Raises:
        ClinicalSourceError: a source is missing, or a file of it cannot be read.
    """
    made: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for file, _, name, told in _values(key, config, naming):
        if name is not None and (file, name) in wanted:
            made[file, name].append(told)
    return dict(made)


def fingerprint(values: Collection[Told]) -> str:
    """That of an offer of these values."""
    offer = Offer("", "", "")
    for told in values:
        offer.add(told)
    return offer.fingerprint


def counted(offers: Collection[Offer]) -> Counter[str]:
    """Numbers for the summary of a run."""
    counts: Counter[str] = Counter()
    counts["values"] = sum(one.values for one in offers)
    counts["patients"] = len({one.name for one in offers if one.name})
    counts["values without a patient"] = sum(one.values for one in offers if not one.name)
    return Counter({name: number for name, number in counts.items() if number})


def _values(
    key: bytes, config: ClinicalConfig, naming: Any
) -> Iterator[tuple[str, str, str | None, Told]]:
    """Token and path of the file, hash of the patient's number (None: none), and the value."""
    named = _Named(key)
    for source in config.sources:
        for relative, told in read_values(source):
            file = file_token(key, naming, source.label, relative)
            path = f"{source.label}/{relative}" if relative else source.label
            yield file, path, named.of(told) if told.patient.strip() else None, told
