"""Objects of an S3-compatible bucket: DICOM and volume files, as `images` takes them from folders.

Size, second of last writing and ETag of an object say whether it is as before. Discovery reads of
an object what tells its series, ingest the whole, once.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from fvlm_data.errors import InputError
from fvlm_data.ingest.discovery import archive
from fvlm_data.ingest.discovery.found_file import FoundFile
from fvlm_data.ingest.discovery.opener import FileLocation, object_state
from fvlm_data.ingest.sources import images, nifti
from fvlm_data.ingest.sources.inventory import Inventory, newest_inventory
from fvlm_data.ingest.sources.kind import Kind
from fvlm_data.ingest.sources.objects import SCHEME, objects, parted, stored

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fvlm_data.ingest.config import SourceConfig
    from fvlm_data.ingest.discovery.listed import Listed
    from fvlm_data.ingest.discovery.opener import FileState
    from fvlm_data.ingest.sources.objects import Stored


def find(source: SourceConfig, listed: Listed | None = None) -> Iterator[FoundFile]:
    """All objects below the source's URL, by listing or by its inventory.

    With `listed`, an inventory that is as before is passed over, and so are, where keys grow, those
    up to the key from which on something was not yet a day old.

    Raises:
        InputError: there is no such bucket or inventory, it may not be read, or holds nothing.
        MachineError: the server does not answer.
    """
    bucket, _ = parted(source.url)
    try:
        found = list_all(source, listed)
        first = next(found, None)
        if first is None and not (listed and listed.skipped):
            raise InputError(
                f"source {source.label}: nothing lies below {source.url}, expected objects; check "
                "bucket and prefix"
            )
        if first is not None:
            yield first
        yield from found
    except FileNotFoundError:
        raise InputError(f"source {source.label}: there is no bucket {bucket}; check url") from None
    except PermissionError as error:
        raise InputError(
            f"source {source.label}: bucket {bucket} may not be listed ({error}); check the "
            "credentials (AWS_ACCESS_KEY_ID and so on, or `profile`), and that they allow "
            "s3:ListBucket"
        ) from None


def list_all(source: SourceConfig, listed: Listed | None) -> Iterator[FoundFile]:
    """As `find`, where the bucket can be read."""
    if source.inventory:
        inventory = newest_inventory(source)
        if listed is None or not _as_before(inventory, listed):
            # in no order: what belongs together may come from one end and the other
            yield from _joined(source, inventory.objects(parted(source.url)))
        return
    _, base = parted(source.base_url)
    after = listed.after if listed is not None and source.keys_grow else ""
    if listed is not None and after:
        listed.skipped += 1
    group: list[Stored] = []
    below = objects(source.base_url, source.profile, f"{base}{after}" if after else "")
    for one in below if listed is None else _noted(below, listed, base):
        if group and _group(group[-1].key) != _group(one.key):
            yield from _joined(source, group)
            group = []
        if _stands_alone(one.key):
            yield from _joined(source, [one])
        else:
            group.append(one)
    yield from _joined(source, group)


def _as_before(inventory: Inventory, listed: Listed) -> bool:
    state = (int(inventory.stamp, 16),)
    if not listed.again and listed.done(inventory.key, state):
        return True
    listed.keep(inventory.key, state, closed=True)
    return False


def _noted(found: Iterable[Stored], listed: Listed, base: str) -> Iterator[Stored]:
    """The objects, of which `listed` learns how far all were at rest."""
    at_rest = True
    for one in found:
        at_rest = at_rest and one.modified_ns < listed.quiet_before_ns
        if at_rest:
            listed.reached.append(one.key.removeprefix(base))
        yield one


def _group(key: str) -> str:
    """What the keys of a volume and of the files beside it share, and no key between them lacks."""
    folder, slash, name = key.rpartition("/")
    return f"{folder}{slash}{name.partition('.')[0]}."


def _stands_alone(key: str) -> bool:
    return not key.lower().endswith((*nifti.COMPANION_ENDINGS, *nifti.VOLUME_ENDINGS))


def _joined(source: SourceConfig, group: Iterable[Stored]) -> Iterator[FoundFile]:
    """Found files of objects, volumes with the states of those that are read with them."""
    _, base = parted(source.base_url)
    volumes: list[tuple[str, FoundFile]] = []
    states: dict[str, FileState] = {}
    for one in group:
        if one.key.endswith("/") and not one.size_bytes:
            continue  # what consoles write to show a folder
        found = _found(source, one.key.removeprefix(base), one)
        if nifti.is_volume(one.key):
            volumes.append((one.key, found))
            continue
        if not _stands_alone(one.key):
            states[one.key] = object_state(one)
        yield found
    for key, found in volumes:
        folder, slash, name = key.rpartition("/")
        companions = (f"{folder}{slash}{other}" for other in nifti.companion_names(name))
        yield nifti.with_states(found, [states[other] for other in companions if other in states])


def _found(source: SourceConfig, relative: str, one: Stored) -> FoundFile:
    state = object_state(one)
    name = PurePosixPath(relative).name
    packed = one.size_bytes and archive.is_archive(name)
    problem = "archive_in_bucket" if packed else ""
    if name.lower().endswith(archive.OTHER_ENDINGS):
        problem = "archive_not_supported"
    return FoundFile(
        relative,
        FileLocation(url=f"{source.base_url}{relative}", profile=source.profile),
        state.size_bytes,
        state.modified_ns,
        problem,
        state.inode,
        arrived_ns=state.arrived_ns,
    )


def named(source: SourceConfig, names: Sequence[str]) -> Iterator[FoundFile]:
    """The objects of these relative names, each asked for; what is gone is left out.

    Raises:
        MachineError: the server does not answer, or refuses.
    """
    for name in nifti.with_volumes(names):
        one = stored(f"{source.base_url}{name}", source.profile)
        if one is not None:
            yield nifti.with_companions(_found(source, name, one))


BUCKET = Kind(
    find=find,
    changed=find,
    named=named,
    probe=images.probe,
    read=images.read,
    mapping=nifti.NIFTI.mapping,
    is_mapped=nifti.is_volume,
    place="url",
    schemes=(SCHEME,),
)
