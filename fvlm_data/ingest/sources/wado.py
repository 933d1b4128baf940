"""A DICOMweb server (DICOM PS3.18): the connection, and the bytes of one instance."""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

from fvlm_data.extras import needs_extra

if TYPE_CHECKING:
    from dicomweb_client.api import DICOMwebClient

TOKEN_VARIABLE = "FVLM_DICOMWEB_TOKEN"
USER_VARIABLE = "FVLM_DICOMWEB_USER"
PASSWORD_VARIABLE = "FVLM_DICOMWEB_PASSWORD"
LOGS_WITH_UIDS = ("dicomweb_client", "urllib3")
"""Their log lines quote addresses, which hold UIDs of patients' studies."""

AS_STORED = (("application/dicom", "*"),)
"""Any transfer syntax: the server must not decode and encode again."""


def client(url: str) -> DICOMwebClient:
    """A client of the service at `url`, with the credentials of the environment.

    FVLM_DICOMWEB_TOKEN is sent as a bearer token, FVLM_DICOMWEB_USER and FVLM_DICOMWEB_PASSWORD
    as basic authentication. Redirects are refused, so that only the named server is contacted.

    Raises:
        MissingExtraError: the extra [dicomweb] is not installed.
    """
    return _client(url, os.environ.get(TOKEN_VARIABLE, ""), os.environ.get(USER_VARIABLE, ""))


def instance_url(service: str, study: str, series: str, instance: str) -> str:
    """The WADO-RS address of one instance."""
    return f"{service.rstrip('/')}/studies/{study}/series/{series}/instances/{instance}"


def retrieved(url: str) -> BinaryIO:
    """One instance as the server stores it, as a file in memory.

    Raises:
        OSError: the server does not answer, or has no such instance.
    """
    service, uids = _parted(url)
    dataset = client(service).retrieve_instance(*uids, media_types=AS_STORED)
    buffer = BytesIO()
    # with preamble and file meta information (PS3.10 7.1), as a file on disk would have
    dataset.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return buffer


def reached(url: str) -> dict[str, Any]:
    """The metadata of one instance (DICOM JSON), its header without pixels.

    Raises:
        OSError: the server does not answer, or has no such instance.
    """
    service, uids = _parted(url)
    metadata: dict[str, Any] = client(service).retrieve_instance_metadata(*uids)
    return metadata


def _parted(url: str) -> tuple[str, tuple[str, str, str]]:
    service, _, rest = url.rpartition("/studies/")
    study, _, series, _, instance = rest.split("/")
    return service, (study, series, instance)


@lru_cache(maxsize=4)
def _client(url: str, token: str, user: str) -> DICOMwebClient:
    with needs_extra("dicomweb", "a source of kind dicomweb"):
        import requests
        from dicomweb_client.api import DICOMwebClient
    for name in LOGS_WITH_UIDS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    session: Any = requests.Session()
    session.max_redirects = 0
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
    elif user:
        session.auth = (user, os.environ.get(PASSWORD_VARIABLE, ""))
    return DICOMwebClient(url, session=session)
