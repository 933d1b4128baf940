"""Objects of an S3-compatible bucket: what there is, and the bytes of one.

Credentials are those of the environment or of a profile in AWS's files. A server that errs, cuts
its answers or is slow is asked again; what does not come then is a fault of the machine, never of
an object.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import time
from dataclasses import dataclass
from functools import lru_cache
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from fvlm_data.errors import FvlmError, MachineError
from fvlm_data.extras import needs_extra

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEME = "s3://"
UNSIGNED = "unsigned"
"""The profile that asks without credentials, as public buckets allow."""

LOGS_WITH_KEYS = ("s3fs", "fsspec", "aiobotocore", "botocore", "urllib3")
"""Their log lines quote keys, which may name patients."""

NO_METADATA_SERVICE = "AWS_EC2_METADATA_DISABLED"
"""Without it, botocore asks 169.254.169.254 for credentials where it finds none."""

PAUSES_S = (0.2, 1.0)
"""Before a request that failed on the server's side is made again; time-outs, cut answers and
"slow down" are repeated by s3fs, five times each, after 15 s of silence."""

RESUMES = 5
"""Times that a download may break off without a further byte."""

BLOCK_BYTES = 1 << 20
IN_MEMORY_BYTES = 64 << 20
NS = 10**9
CHANGED = "PreconditionFailed"
NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound")
"""Errors of botocore, which comes with s3fs in a version that this package does not choose."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One object: key, size, the second in which it was last written, and its ETag."""

    key: str
    size_bytes: int
    modified_ns: int
    tag: str


class ChangedError(OSError):
    """An object was replaced while it was read."""


def parted(url: str) -> tuple[str, str]:
    """Bucket and key of a URL `s3://bucket/key`."""
    bucket, _, key = url.removeprefix(SCHEME).partition("/")
    return bucket, key


def objects(url: str, profile: str, after: str = "") -> Iterator[Stored]:
    """All objects below a URL, in the order of their keys; with `after` those behind that key.

    Raises:
        FileNotFoundError: there is no such bucket.
        PermissionError: it may not be listed.
        MachineError: the server does not answer.
    """
    bucket, prefix = parted(url)
    request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
    if after:
        request["StartAfter"] = after
    while True:
        answer = asked(bucket, profile, "list_objects_v2", **request)
        for one in answer.get("Contents") or ():
            yield Stored(one["Key"], int(one["Size"]), whole_s(one["LastModified"]), tag(one))
        if not answer.get("IsTruncated"):
            return
        request.pop("StartAfter", None)
        request["ContinuationToken"] = answer["NextContinuationToken"]


def stored(url: str, profile: str) -> Stored | None:
    """What the server says of one object; None: there is none.

    Raises:
        MachineError: the server does not answer, or refuses.
    """
    bucket, key = parted(url)
    try:
        answer = asked(bucket, profile, "head_object", Bucket=bucket, Key=key)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise _refused(bucket, error) from None
    size, modified = int(answer["ContentLength"]), whole_s(answer["LastModified"])
    return Stored(key, size, modified, tag(answer))


def downloaded(url: str, profile: str) -> BinaryIO:
    """An object as a whole, in memory, a large one in a temporary file without a name.

    An answer that breaks off is taken up where it ended.

    Raises:
        OSError: there is no such object, or it was replaced meanwhile.
        MachineError: the server does not answer, or refuses.
    """
    target = cast("BinaryIO", SpooledTemporaryFile(max_size=IN_MEMORY_BYTES))  # noqa: SIM115
    try:
        _fill(target, url, profile)
        target.seek(0)
    except BaseException:
        target.close()
        raise
    return target


def _fill(target: BinaryIO, url: str, profile: str) -> None:
    held, size, is_tag, stuck = 0, -1, "", 0
    while held != size:
        answer = range_of(url, profile, held, None, is_tag)
        if size < 0:
            size, is_tag = held + int(answer["ContentLength"]), answer["ETag"]
        before = held
        for block in _blocks(answer["Body"], profile):
            target.write(block)
            held += len(block)
        stuck = stuck + 1 if held == before else 0
        if stuck == RESUMES or held > size:
            raise _unreached(parted(url)[0], "answers that break off")


def _blocks(body: Any, profile: str) -> Iterator[bytes]:
    """The blocks of an answer, as far as it comes."""
    from fsspec.asyn import sync

    loop = _filesystem(profile).loop
    try:
        while block := sync(loop, body.read, BLOCK_BYTES):
            yield block
    except Exception:  # the transport raises classes of its own; the caller counts what came
        return
    finally:
        body.close()


def read_range(url: str, profile: str, start: int, stop: int, is_tag: str) -> tuple[bytes, Any]:
    """Bytes of an object from `start` to before `stop`, fewer at its end, and the answer's head.

    Raises:
        OSError: there is no such object, or its ETag is another than `is_tag` (empty: any).
        MachineError: the server does not answer, or refuses.
    """
    came, answer = b"", None
    for _ in range(RESUMES):
        told = range_of(url, profile, start + len(came), stop, is_tag)
        answer = answer or told
        is_tag = answer["ETag"]
        wanted = len(came) + int(told["ContentLength"])
        came += b"".join(_blocks(told["Body"], profile))
        if len(came) == wanted:
            return came, answer
    raise _unreached(parted(url)[0], "answers that break off")


def range_of(url: str, profile: str, start: int, stop: int | None, is_tag: str) -> Any:
    """The answer to a request for a part of an object, its body not yet read.

    Raises:
        OSError: there is no such object, or its ETag is another than `is_tag` (empty: any).
        MachineError: the server does not answer, or refuses, or gives another part.
    """
    bucket, key = parted(url)
    request: dict[str, Any] = {"IfMatch": is_tag} if is_tag else {}
    if start or stop is not None:
        request["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
    try:
        answer = asked(bucket, profile, "get_object", Bucket=bucket, Key=key, **request)
    except PermissionError as error:
        raise _refused(bucket, error) from None
    if start and not str(answer.get("ContentRange", "")).startswith(f"bytes {start}-"):
        answer["Body"].close()
        raise _unreached(bucket, "another part than was asked for")
    return answer


def asked(bucket: str, profile: str, method: str, **request: Any) -> Any:
    """The answer to one request.

    Raises:
        FileNotFoundError: there is no such bucket or object.
        PermissionError: it is refused, or there are no credentials.
        ChangedError: the object is not the one that was asked for.
        MachineError: the server does not answer, or only with errors.
    """
    pauses = iter(PAUSES_S)
    while True:
        try:
            return _filesystem(profile).call_s3(method, **request)
        except (FileNotFoundError, PermissionError):
            raise
        except FvlmError:
            raise
        except Exception as error:  # those of botocore and aiohttp are no OSErrors
            if type(error).__name__ in NO_CREDENTIALS:
                raise PermissionError(type(error).__name__) from None
            told = _response(error)
            if told.get("Error", {}).get("Code") in (CHANGED, "412"):
                raise ChangedError("the object was replaced while it was read") from None
            status = told.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status in (401, 403):
                raise PermissionError(str(status)) from None
            pause = next(pauses, None) if status >= 500 else None
            if pause is None:
                why = f"status {status}" if status else type(error).__name__
                raise _unreached(bucket, why) from None
        time.sleep(pause)


def _response(error: BaseException) -> dict[str, Any]:
    """What the server said; s3fs turns botocore's errors into its own, caused by them."""
    for one in (error, error.__cause__, error.__context__):
        told = getattr(one, "response", None)
        if isinstance(told, dict):
            return told
    return {}


def _unreached(bucket: str, why: str) -> MachineError:
    return MachineError(
        f"bucket {bucket}: the server does not give what it is asked for ({why}), though asked "
        "again; nothing is said of the data, and what is settled stays settled: check server and "
        "network, and run again"
    )


def _refused(bucket: str, error: PermissionError) -> MachineError:
    return MachineError(
        f"bucket {bucket}: an object that it lists may not be read ({error}); nothing is said of "
        "the data: check that the credentials still hold and allow s3:GetObject, and run again"
    )


def tag(told: Any) -> str:
    """The ETag of an answer, without quotation marks."""
    return str(told.get("ETag", "")).strip('"')


def whole_s(when: dt.datetime) -> int:
    """Nanoseconds since 1970, of whole seconds: not all that a server says is finer."""
    return int(when.timestamp()) * NS


@lru_cache(maxsize=8)
def _filesystem(profile: str) -> Any:
    """The filesystem by which buckets are asked; one a profile and process."""
    os.environ.setdefault(NO_METADATA_SERVICE, "true")
    for name in LOGS_WITH_KEYS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with needs_extra("s3", "a source of kind bucket"):
        from s3fs import S3FileSystem
    named = {"profile": profile} if profile and profile != UNSIGNED else {}
    return S3FileSystem(
        anon=profile == UNSIGNED,
        use_listings_cache=False,
        # s3fs repeats what it may; botocore would repeat each of those five times more
        config_kwargs={"retries": {"total_max_attempts": 1}},
        **named,
    )
