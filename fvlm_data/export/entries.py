"""Our exports, as the list names them; what writes one is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fvlm_data.export.entry import Export

if TYPE_CHECKING:
    from collections.abc import Callable

    from fvlm_data.export.source import Source
    from fvlm_data.export.target import Draft
    from fvlm_data.store.tables import Store

    Progress = Callable[[int, int], None]


class LabelOptions(BaseModel):
    """Options of the export `labels`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label_set: str = Field(
        default="ct_rate", description="ct_rate, merlin, rad_chest_ct, or your own"
    )
    rows: Literal["study", "volume"] = Field(
        default="study", description="what a row is; volumes are called as CT-RATE's are"
    )
    uncertain_is_positive: bool = Field(
        default=True, description="whether what a report holds possible is 1"
    )
    overlay: Path | None = Field(
        default=None, description="folder of the vocabulary overlay that the store was made with"
    )


class DicomOptions(BaseModel):
    """Options of the export `dicom`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: bool = Field(
        default=False,
        description="write the volumes as CT images too, to which masks refer; they show faces",
    )
    scores: Path | None = Field(
        default=None, description="Parquet file of scores by fvlm-eval, told as observations too"
    )
    overlay: Path | None = Field(
        default=None, description="folder of the vocabulary overlay that the store was made with"
    )


class WebDatasetOptions(BaseModel):
    """Options of the export `webdataset`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_mb: int = Field(default=512, ge=1, description="greatest size of a tar file, in MB")


def _tables(store: Store, draft: Draft, progress: Progress, _options: Any) -> None:
    from fvlm_data.export.tables import write

    write(store, draft, progress)


def _labels(store: Store, draft: Draft, progress: Progress, options: LabelOptions) -> None:
    from fvlm_data.export.labels import write
    from fvlm_data.vocabulary import Vocabulary

    write(
        store,
        draft,
        progress,
        vocabulary=Vocabulary.load(overlay=options.overlay),
        label_set=options.label_set,
        by_volume=options.rows == "volume",
        uncertain_counts=options.uncertain_is_positive,
    )


def _dicom(store: Store, draft: Draft, progress: Progress, options: DicomOptions) -> None:
    from fvlm_data.export.dicom.write import write
    from fvlm_data.extras import needs_extra
    from fvlm_data.vocabulary import Vocabulary

    with needs_extra("dicom-out", "export dicom"):
        import highdicom  # noqa: F401
    write(
        store,
        draft,
        progress,
        vocabulary=Vocabulary.load(overlay=options.overlay),
        scores=options.scores,
        images=options.images,
    )


def _webdataset(
    source: Source, draft: Draft, progress: Progress, options: WebDatasetOptions
) -> None:
    from fvlm_data.export.webdataset import write

    write(source, draft, progress, max_bytes=options.max_mb * 1_000_000)


def _nnunet(source: Source, draft: Draft, progress: Progress, _options: Any) -> None:
    from fvlm_data.export.nnunet import write

    write(source, draft, progress)


def _nnunet_check(folder: Path) -> None:
    from fvlm_data.export.nnunet import check_name

    check_name(folder)


def _nnunet_hint(folder: Path) -> str:
    from fvlm_data.export.nnunet import SPLITS

    number = folder.name.removeprefix("Dataset")[:3]
    return (
        f"nnUNetv2_plan_and_preprocess -d {number} --verify_dataset_integrity, then copy "
        f"{folder / SPLITS} to nnUNet_preprocessed/{folder.name}: folds by patient"
    )


def _monai(source: Source, draft: Draft, progress: Progress, _options: Any) -> None:
    from fvlm_data.export.monai import write

    write(source, draft, progress)


def _monai_hint(folder: Path) -> str:
    from fvlm_data.export.monai import DATALIST

    return f'monai.data.load_decathlon_datalist("{folder / DATALIST}", True, "training")'


def _huggingface(source: Source, draft: Draft, progress: Progress, _options: Any) -> None:
    from fvlm_data.export.huggingface import write

    write(source, draft, progress)


TABLES = Export(
    help="Every table as one plain Parquet file.",
    of="tables",
    write=_tables,
    hint=lambda _folder: "docs/tables.md tells the columns",
)
LABELS = Export(
    help="Labels of a public set, made from the reports, as one CSV with a column a label.",
    of="tables",
    write=_labels,
    options=LabelOptions,
    hint=lambda folder: f'pandas.read_csv("{folder / "labels.csv"}")',
)
DICOM = Export(
    help="Masks as DICOM SEG, findings as DICOM SR and FHIR Observations, under pseudonyms.",
    of="tables",
    write=_dicom,
    options=DicomOptions,
    hint=lambda folder: f"{folder / 'index.csv'} lists the objects with their UIDs",
)
WEBDATASET = Export(
    help="Samples as tar files of .npy arrays and JSON, for WebDataset.",
    write=_webdataset,
    options=WebDatasetOptions,
    hint=lambda _folder: "dataset.json lists the tar files; docs/export.md shows how to open them",
)
NNUNET = Export(
    help="Images and label maps as a raw dataset of nnU-Net v2.",
    write=_nnunet,
    check=_nnunet_check,
    hint=_nnunet_hint,
    folder="new folder, as nnUNet_raw/Dataset501_Name",
    example="nnUNet_raw/Dataset501_Organs",
)
MONAI = Export(
    help="Images, label maps and texts as NIfTI files and a datalist of MONAI.",
    write=_monai,
    hint=_monai_hint,
)
HUGGINGFACE = Export(
    help="Texts of anatomies as Parquet, one file a split, for Hugging Face datasets.",
    write=_huggingface,
    hint=lambda folder: f'datasets.load_dataset("{folder}")',
)
