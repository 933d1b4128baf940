"""Sections `ingest` and `sources`: where images are, and what makes a proved volume."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from fvlm_data.errors import ConfigError
from fvlm_data.ingest.sources import SOURCES
from fvlm_data.ingest.sources.objects import SCHEME
from fvlm_data.settings import DECIDES_NOTHING, PLACE

TOKEN = re.compile(r"f_[0-9a-f]{20}")
"""What stands for a private place in what a run writes down of its settings."""


class IngestConfig(BaseModel):
    """What a volume must fulfil to be accepted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_slices: int = Field(
        default=5, ge=2, description="fewest slices of a volume; a single slice is never one"
    )
    position_tolerance_mm: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="how far a slice may lie from its even place, along the normal or sideways, mm",
    )
    spacing_tolerance_relative: float = Field(
        default=0.01,
        ge=0,
        le=0.1,
        description="the same as a share of the slice distance; the larger of the two counts",
    )
    direction_tolerance: float = Field(
        default=1e-3,
        gt=0,
        le=1e-2,
        description="how far direction vectors may be from length 1 and from a right angle "
        "(cosine), and from those of the other slices; no unit",
    )
    min_spacing_mm: float = Field(
        default=0.05, gt=0, description="least distance of voxels along any axis, mm"
    )
    max_pixel_mm: float = Field(
        default=15,
        gt=0,
        description="greatest distance of voxels within slices, mm (thinned volumes have a few)",
    )
    max_slice_distance_mm: float = Field(
        default=20,
        gt=0,
        description="greatest distance of slices, mm (thin slices with gaps between them reach 20)",
    )
    min_extent_mm: float = Field(
        default=5, gt=0, description="least extent of a volume along any axis, mm"
    )
    max_width_mm: float = Field(
        default=1200,
        gt=0,
        description="greatest extent of a volume across the body, mm (the widest fields of view "
        "are below 900)",
    )
    max_length_mm: float = Field(
        default=2500, gt=0, description="greatest extent of a volume along the body, mm"
    )
    unlike_slices: Literal["refuse", "flag", "ignore"] = Field(
        default="refuse",
        description="what becomes of a volume with a slice that fits neither neighbour as no other "
        "of its slices does (most often damage that no decoder noticed), or that shows the pixels "
        "of another slice: refuse sets it aside, flag counts such slices in `volumes.adjustments`, "
        "ignore does not look",
    )
    hu_offset: Literal["refuse", "flag", "ignore"] = Field(
        default="refuse",
        description="what becomes of a volume whose air, fat and soft tissue all lie 80 HU or more "
        "from where they can be: refuse sets it aside, flag tells the HU in `volumes.adjustments` "
        "(as it does where fat and soft tissue alone say so), ignore does not look",
    )
    identity_affine: Literal["refuse", "accept"] = Field(
        default="refuse",
        description="what becomes of a volume file whose geometry is the identity (voxels of 1 mm "
        "from the origin along the axes), which programs write where they were given none: refuse "
        "sets it aside, accept believes it",
    )
    max_series_mb: int = Field(
        default=8192,
        gt=0,
        description="most memory that the voxels of one series, or of one volume file, may take, "
        "MB; told from headers, before it is taken: what claims more is set aside",
    )
    tilt: Literal["shear", "refuse"] = Field(
        default="shear",
        description="what becomes of a tilted gantry, whose slices are shifted sideways: shear "
        "moves each slice within its own plane to a grid with right angles and records the "
        "angle, refuse sets the series aside",
    )
    settle_minutes: float = Field(
        default=0,
        ge=0,
        description="a series of which a file came or changed less than so long ago waits, and a "
        "later run takes it; 0: none waits, min",
        json_schema_extra=DECIDES_NOTHING,
    )
    full_listing_days: float = Field(
        default=0,
        ge=0,
        description="folders, and studies of a server, that are as they were when last listed are "
        "passed over, and so are an inventory that is as it was and the keys of a bucket that "
        "grow (`sources.keys_grow`), until the last listing of everything is so old; 0: each run "
        "lists everything, days",
        json_schema_extra=DECIDES_NOTHING,
    )
    incomplete: Literal["refuse", "flag"] = Field(
        default="refuse",
        description="what becomes of a volume of which more was sent or announced than can be "
        "used (damaged slices next to an end, a cut archive, fewer images than the header or the "
        "server counts): refuse sets it aside as incomplete_series, flag takes what is left if "
        "that is a proved volume and tells so in volumes.adjustments",
    )


class SourceConfig(BaseModel):
    """One place that images come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Annotated[str, AfterValidator(SOURCES.known)] = Field(
        description="what lies there: images (DICOM and volume files side by side), dicom "
        "(folders, archives, discs), dicomweb (a server), bucket (what images takes, as objects of "
        "an S3-compatible bucket), nifti (also MetaImage, NRRD and pairs of .hdr and .img), "
        "ct_rate (the layout of CT-RATE), rad_chestct (the npz files of RAD-ChestCT), or what an "
        "installed package adds (`fvlm-data plugins`)",
        json_schema_extra=SOURCES.listed,
    )
    path: Path = Field(
        default=Path(),
        description="folder (searched with all below it), archive, DICOMDIR or a single file",
        json_schema_extra=PLACE,
    )
    url: str = Field(
        default="",
        description="servers only. dicomweb: address of the service, as https://pacs/dicom-web. "
        "Credentials come from the environment: FVLM_DICOMWEB_TOKEN, or FVLM_DICOMWEB_USER and "
        "FVLM_DICOMWEB_PASSWORD. bucket: s3://BUCKET, or s3://BUCKET/PREFIX for what lies below "
        "it; server and credentials come from the environment (AWS_ENDPOINT_URL, "
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and so on) or AWS's files, see `profile`",
        json_schema_extra=DECIDES_NOTHING,
    )
    profile: str = Field(
        default="",
        description="bucket only: section of AWS's credentials and configuration files "
        "(AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE) with keys, region and endpoint_url of this "
        "bucket, where they differ from those of the store's; unsigned: a public bucket, which "
        "asks for none",
        json_schema_extra=DECIDES_NOTHING,
    )
    inventory: str = Field(
        default="",
        description="bucket only: s3:// address of a manifest.json of S3 Inventory (CSV or "
        "Parquet), or of the prefix below which they come, of which the newest counts: its objects "
        "are taken in place of a listing",
        json_schema_extra=DECIDES_NOTHING,
    )
    keys_grow: bool = Field(
        default=False,
        description="bucket only: keys of new objects come behind those that are there (by date, "
        "say), so that between two full listings (`ingest.full_listing_days`) only what comes "
        "behind what was a day old is listed",
        json_schema_extra=DECIDES_NOTHING,
    )
    query: dict[str, str] = Field(
        default_factory=dict,
        description="servers only (dicomweb): what studies must match (QIDO-RS), as "
        "{ModalitiesInStudy: CT}",
    )
    name: str = Field(
        default="",
        description="name of the source in tables and file tokens; default: the last part of the "
        "path. Tokens hang on it: keep it when the folder moves",
    )
    mapping: Path | None = Field(
        default=None,
        description="images, bucket and nifti: CSV with columns volume (file name or relative "
        "path), study and patient; without it each volume file is a study and a patient of its "
        "own. ct_rate: the metadata CSV; without it only files in HU are taken. rad_chestct: the "
        "metadata CSV, needed",
        json_schema_extra=PLACE,
    )

    @model_validator(mode="after")
    def _fields_fit_the_kind(self) -> SourceConfig:
        kind = SOURCES.load(self.kind)
        if self.mapping is not None and kind.mapping is None:
            raise ValueError(f"mapping is for volume files only, found kind {self.kind}")
        if self.mapping is None and kind.needs_mapping:
            raise ValueError(f"kind {self.kind} needs `mapping`, the metadata CSV of the data set")
        if kind.place == "url" and not self.url:
            raise ValueError(f"kind {self.kind} needs `url`")
        if kind.place == "path" and (self.url or self.query):
            raise ValueError(f"url and query are for servers only, found kind {self.kind}")
        in_bucket = SCHEME in kind.schemes
        # in a store's own record, read where its vault is not, a token stands for the place
        told = not (in_bucket and TOKEN.fullmatch(self.url))
        if kind.place == "url" and told and not self.url.startswith(kind.schemes):
            expected = " or ".join(kind.schemes)
            raise ValueError(f"url: expected an address that begins with {expected}")
        if not in_bucket and (self.profile or self.inventory or self.keys_grow):
            raise ValueError(
                f"profile, inventory and keys_grow are for buckets only, found kind {self.kind}"
            )
        if in_bucket and self.query:
            raise ValueError(f"query is for DICOMweb servers only, found kind {self.kind}")
        if self.inventory and told and not self.inventory.startswith(SCHEME):
            raise ValueError(f"inventory: expected an address that begins with {SCHEME}")
        if kind.place == "path" and self.path == Path():
            raise ValueError(f"kind {self.kind} needs `path`")
        return self

    @property
    def base_url(self) -> str:
        """What stands before the relative names of a server's files."""
        return f"{self.url.rstrip('/')}/"

    @property
    def label(self) -> str:
        """The source's name in tables: `name`, else the last part of the path, host or bucket."""
        if self.url:
            return self.name or self.url.partition("://")[2].partition("/")[0]
        return self.name or self.path.expanduser().resolve().name or "source"


def by_label(sources: tuple[SourceConfig, ...]) -> dict[str, SourceConfig]:
    """Sources by their name.

    Raises:
        ConfigError: two sources have the same name.
    """
    named: dict[str, SourceConfig] = {}
    for source in sources:
        if source.label in named:
            raise ConfigError(
                f"sources: two are named {source.label}, expected different names; set `name` "
                "on one of them"
            )
        named[source.label] = source
    return named
