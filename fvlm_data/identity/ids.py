"""Keyed ids, link keys and shifted dates: what the store holds instead of identities."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import os
import unicodedata
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fvlm_data.errors import ConfigError
from fvlm_data.identity.vault import ENVIRONMENT_VARIABLE, Vault
from fvlm_data.settings import PLACE

ID_DIGITS = 20
"""Hexadecimal digits of an id: 80 bits, so that 10^9 items collide with p < 10^-6."""

MAX_SHIFT_DAYS = 3650

Prefix = Literal["p", "st", "se", "v", "r", "sa", "f", "sh", "im"]
"""patient, study, series, volume, report, sample, file token, shard, identity mark"""


class IdentityConfig(BaseModel):
    """Section `identity`: where the secrets lie and how source files are named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vault: Path | None = Field(
        default=None,
        description="folder of the vault; default: the user's data folder",
        json_schema_extra=PLACE,
    )
    source_names: Literal["token", "plain"] = Field(
        default="token",
        description="how source files stand in tables: keyed token, or plain relative path "
        "(for public data only)",
    )


def keyed_id(key: bytes, prefix: Prefix, *parts: str) -> str:
    """HMAC-SHA-256 of `parts` under the vault's key, as `<prefix>_<20 hexadecimal digits>`.

    The same key and parts give the same id in every run; without the key it cannot be made.
    """
    message = _message(prefix, *parts)
    return f"{prefix}_{hmac.new(key, message, hashlib.sha256).hexdigest()[:ID_DIGITS]}"


def link_key(kind: str, value: str, issuer: str | None = None, *, key: bytes | None = None) -> str:
    """Keyed hash of an external key, by which reports find their studies.

    `value` and `issuer` are normalised: Unicode NFKC, case folded, outer blanks and NULs
    dropped, inner blanks joined to one; leading zeros are kept. A volume_name loses its folder
    and a final .nii or .nii.gz. `key` is the vault's; without it the vault named by FVLM_VAULT
    is opened.

    Raises:
        ConfigError: no key is given and FVLM_VAULT is not set, or the value is blank.
    """
    normal = _normalised(value)
    if kind == "volume_name":
        name = normal.replace("\\", "/").rsplit("/", 1)[-1]
        normal = name.removesuffix(".nii.gz").removesuffix(".nii").strip()
    if not normal:
        raise ConfigError(f"link {kind}: the value is blank; expected a non-blank identifier")
    if key is None:
        folder = os.environ.get(ENVIRONMENT_VARIABLE)
        if not folder:
            raise ConfigError(
                f"link {kind}: no key given and {ENVIRONMENT_VARIABLE} is not set; "
                "name the vault of the store"
            )
        key = Vault.open(Path(folder)).key
    message = _message("link", kind, normal, _normalised(issuer or ""))
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def fraction(key: bytes, *parts: str) -> float:
    """A number in [0, 1) drawn by keyed hash: the same for the same parts, else independent."""
    message = _message("fraction", *parts)
    digest = hmac.new(key, message, hashlib.sha256).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def shifted_date(key: bytes, patient_id: str, date: dt.date) -> str:
    """`date` moved back by 1 to 3650 days, a number fixed for the patient, as YYYY-MM-DD.

    Intervals between the dates of one patient stay true (DICOM PS3.15 E.3.6, retain
    longitudinal temporal information with modified dates).
    """
    days = 1 + int(fraction(key, "shift", patient_id) * MAX_SHIFT_DAYS)
    return (date - dt.timedelta(days=days)).isoformat()


def shifted_time(key: bytes, patient_id: str, digits: str) -> str | None:
    """A time with its date moved as `shifted_date` does, the time of the day as it is.

    `digits` are YYYYMMDD, then hh, mm and ss as far as told. Returns YYYY-MM-DDThh:mm:ss as far
    as told, None where they are no date of the calendar.
    """
    try:
        date = dt.datetime.strptime(digits[:8], "%Y%m%d").date()
    except ValueError:
        return None
    time = ":".join(digits[at : at + 2] for at in range(8, len(digits) - 1, 2))
    return shifted_date(key, patient_id, date) + (f"T{time}" if time else "")


def file_token(key: bytes, naming: Literal["token", "plain"], source: str, path: str) -> str:
    """The name of a source file in tables: keyed token, or `<source>/<relative path>`."""
    return keyed_id(key, "f", source, path) if naming == "token" else f"{source}/{path}"


def source_token(key: bytes, naming: Literal["token", "plain"], source: str) -> str:
    """How a source stands in tables: keyed token, or its name, most often that of its folder."""
    return keyed_id(key, "f", "source", source) if naming == "token" else source


def _message(*parts: str) -> bytes:
    # Python decodes file names that are not UTF-8 with lone surrogates, which must pass through
    # the unit separator occurs in no id, so two lists of parts never give one message
    return "\x1f".join(parts).encode(errors="surrogatepass")


def _normalised(value: str) -> str:
    # NFKC again after folding: casefold may leave a text that is no longer normalised (Unicode,
    # chapter 3.13)
    folded = unicodedata.normalize("NFKC", value).replace("\x00", " ").casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())
