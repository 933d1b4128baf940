"""Our exports, as the list names them; what writes one is imported when it is called."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fvlm_data.export.entry import Export
from fvlm_data.export.options import (
    AttributeOptions,
    CaseOptions,
    DicomOptions,
    LabelOptions,
    LayoutOptions,
    OrganPairOptions,
    OutcomeOptions,
    RegionTextOptions,
    ReportGenerationOptions,
    SliceReferenceOptions,
    WebDatasetOptions,
    WordOptions,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fvlm_data.export.source import Source
    from fvlm_data.export.target import Draft
    from fvlm_data.store.tables import Store

    Progress = Callable[[int, int], None]


READERS = {".csv": "read_csv", ".jsonl": "read_json", ".parquet": "read_parquet"}
"""Functions of pandas by the suffix of what they read."""

MONAI_KEYS = ("training", "validation", "test")


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
        vocabulary=Vocabulary.load(options.language, options.overlay),
        label_set=options.label_set,
        by_volume=options.rows == "volume",
        uncertain_counts=options.uncertain_is_positive,
    )


def _ct_rate(store: Store, draft: Draft, progress: Progress, options: LayoutOptions) -> None:
    from fvlm_data.export.layouts.ct_rate import write
    from fvlm_data.vocabulary import Vocabulary

    vocabulary = Vocabulary.load(options.language, options.overlay)
    write(store, draft, progress, vocabulary=vocabulary, placing=options.volumes)


def _merlin(store: Store, draft: Draft, progress: Progress, options: LayoutOptions) -> None:
    from fvlm_data.export.layouts.merlin import write
    from fvlm_data.vocabulary import Vocabulary

    vocabulary = Vocabulary.load(options.language, options.overlay)
    write(store, draft, progress, vocabulary=vocabulary, placing=options.volumes)


def _region_texts(
    store: Store, draft: Draft, progress: Progress, options: RegionTextOptions
) -> None:
    from fvlm_data.export.region_texts import write

    write(store, draft, progress, by_volume=options.rows == "volume")


def _attributes(store: Store, draft: Draft, progress: Progress, options: AttributeOptions) -> None:
    from fvlm_data.export.attributes.write import write
    from fvlm_data.vocabulary import Vocabulary

    vocabulary = Vocabulary.load(options.language, options.overlay)
    write(store, draft, progress, vocabulary=vocabulary, many=options.many, few=options.few)


def _organ_pairs(store: Store, draft: Draft, progress: Progress, options: OrganPairOptions) -> None:
    from fvlm_data.export.organ_pairs.write import write
    from fvlm_data.vocabulary import Vocabulary

    vocabulary = Vocabulary.load(options.language, options.overlay)
    write(store, draft, progress, vocabulary=vocabulary, normal=options.normal)


def _questions(store: Store, draft: Draft, progress: Progress, options: WordOptions) -> None:
    from fvlm_data.export.questions.write import write
    from fvlm_data.vocabulary import Vocabulary

    write(store, draft, progress, vocabulary=Vocabulary.load(options.language, options.overlay))


def _report_generation(
    store: Store, draft: Draft, progress: Progress, options: ReportGenerationOptions
) -> None:
    from fvlm_data.export.generation.write import write

    write(store, draft, progress, window_days=options.window_days)


def _cases(store: Store, draft: Draft, progress: Progress, options: CaseOptions) -> None:
    from fvlm_data.export.cases.write import Asked, write
    from fvlm_data.vocabulary import Vocabulary

    asked = Asked(options.case, options.label_set, options.patch_mm)
    vocabulary = Vocabulary.load(options.language, options.overlay)
    write(store, draft, progress, vocabulary=vocabulary, asked=asked)


def _change(store: Store, draft: Draft, progress: Progress, options: WordOptions) -> None:
    from fvlm_data.export.change.write import write
    from fvlm_data.vocabulary import Vocabulary

    write(store, draft, progress, vocabulary=Vocabulary.load(options.language, options.overlay))


def _outcome(store: Store, draft: Draft, progress: Progress, options: OutcomeOptions) -> None:
    from fvlm_data.export.outcome.write import Asked, write

    asked = Asked(options.outcome, options.window_days, options.horizon_days)
    write(store, draft, progress, asked=asked)


def _slice_references(
    store: Store, draft: Draft, progress: Progress, options: SliceReferenceOptions
) -> None:
    from fvlm_data.export.slice_references.write import write
    from fvlm_data.vocabulary import Vocabulary

    vocabulary = Vocabulary.load(options.language, options.overlay)
    write(store, draft, progress, vocabulary=vocabulary, vault=options.vault)


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
        vocabulary=Vocabulary.load(options.language, options.overlay),
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
    raw, folds = shlex.quote(str(folder.parent)), shlex.quote(str(folder / SPLITS))
    return "\n".join((
        f"export nnUNet_raw={raw} nnUNet_preprocessed=nnUNet_preprocessed",
        f"nnUNetv2_plan_and_preprocess -d {number} --verify_dataset_integrity",
        f"cp {folds} nnUNet_preprocessed/{folder.name}/  # folds by patient",
    ))  # fmt: skip


def _monai(source: Source, draft: Draft, progress: Progress, _options: Any) -> None:
    from fvlm_data.export.monai import write

    write(source, draft, progress)


def _monai_hint(folder: Path) -> str:
    from fvlm_data.export.monai import DATALIST

    place = str(folder / DATALIST)
    key = next((one for one in MONAI_KEYS if json.loads(Path(place).read_bytes()).get(one)), "test")
    return "\n".join((
        "from monai.data import Dataset, load_decathlon_datalist",
        f"items = load_decathlon_datalist({place!r}, True, {key!r})",
        'print(len(items), "items, the first:", items[0]["image"])',
    ))  # fmt: skip


def _by_pandas(name: str, file: str, shown: str, more: str = "") -> Callable[[Path], str]:
    """Lines that read a file of the export as `name` and print what is `shown`."""
    reader = READERS[Path(file).suffix]

    def hint(folder: Path) -> str:
        return "\n".join((
            "import pandas as pd",
            f"{name} = pd.{reader}({str(folder / file)!r}{more})",
            f"print({shown})",
        ))  # fmt: skip

    return hint


def _dicom_hint(folder: Path) -> str:
    return "\n".join((
        "import highdicom, glob",
        f"masks = sorted(glob.glob({str(folder / '*' / '*.total.dcm')!r}))",
        "print([s.SegmentLabel for s in highdicom.seg.segread(masks[0]).SegmentSequence])",
    ))  # fmt: skip


def _webdataset_hint(folder: Path) -> str:
    return "\n".join((
        "import webdataset, glob",
        f"tars = sorted(glob.glob({str(folder / '*.tar')!r}))",
        "print(next(iter(webdataset.WebDataset(tars, shardshuffle=False).decode())).keys())",
    ))  # fmt: skip


def _huggingface_hint(folder: Path) -> str:
    return "\n".join((
        "import datasets",
        f"texts = datasets.load_dataset({str(folder)!r})",
        "print(texts)",
    ))  # fmt: skip


def _huggingface(source: Source, draft: Draft, progress: Progress, _options: Any) -> None:
    from fvlm_data.export.huggingface import write

    write(source, draft, progress)


TABLES = Export(
    help="Every table as one plain Parquet file.",
    of="tables",
    write=_tables,
    hint=_by_pandas(
        "findings", "findings.parquet", 'findings.groupby(["finding", "status"]).size()'
    ),
)
LABELS = Export(
    help="Labels of a public set, made from the reports, as one CSV with a column a label.",
    of="tables",
    write=_labels,
    options=LabelOptions,
    hint=_by_pandas("labels", "labels.csv", "labels.eq(1).mean().sort_values()", ", index_col=0"),
)
CT_RATE = Export(
    help="Volumes, reports, metadata and labels laid out as the download of CT-RATE is.",
    of="tables",
    write=_ct_rate,
    options=LayoutOptions,
    hint=_by_pandas("scans", "index.csv", 'scans.groupby("split", dropna=False).size()'),
)
MERLIN = Export(
    help="Volumes, reports and labels laid out as the download of Merlin is.",
    of="tables",
    write=_merlin,
    options=LayoutOptions,
    hint=_by_pandas("reports", "reports_final.csv", 'reports.groupby("Split").size()'),
)
REGION_TEXTS = Export(
    help="Which sentence speaks of which anatomy, as the CSV of RadGenome-Chest CT.",
    of="tables",
    write=_region_texts,
    options=RegionTextOptions,
    hint=_by_pandas("texts", "region_report.csv", 'texts.groupby("Anatomy").size()'),
)
ORGAN_PAIRS = Export(
    help="Every region of a label map with what the report says of it, as Parquet.",
    of="tables",
    write=_organ_pairs,
    options=OrganPairOptions,
    hint=_by_pandas(
        "pairs", "organ_pairs.parquet", 'pairs.groupby(["class_name", "state"]).size()'
    ),
)
ATTRIBUTES = Export(
    help="Each finding's attributes apart from the organ's and patient's; pairs with and without.",
    of="tables",
    write=_attributes,
    options=AttributeOptions,
    hint=_by_pandas(
        "findings", "attributes.parquet", 'findings.groupby(["shots", "finding"]).size()'
    ),
)
QUESTIONS = Export(
    help="Questions about each study that its reports answer, with the sentences, as JSON lines.",
    of="tables",
    write=_questions,
    options=WordOptions,
    hint=_by_pandas("questions", "questions.jsonl", "questions.head()", ", lines=True"),
)
REPORT_GENERATION = Export(
    help="What each report can be written from (image, indication, prior), and it, as JSON lines.",
    of="tables",
    write=_report_generation,
    options=ReportGenerationOptions,
    hint=_by_pandas("records", "records.jsonl", "records.head()", ", lines=True"),
)
CASES = Export(
    help="Cases with their studies, images, patches and one set of labels, as JSON lines.",
    of="tables",
    write=_cases,
    options=CaseOptions,
    hint=_by_pandas("cases", "cases.jsonl", "cases.head()", ", lines=True"),
)
CHANGE = Export(
    help="What became of each finding from one study of a patient to the next, as Parquet.",
    of="tables",
    write=_change,
    options=WordOptions,
    hint=_by_pandas(
        "pairs", "pairs_over_time.parquet", 'pairs.groupby(["finding", "change"]).size()'
    ),
)
OUTCOME = Export(
    help="A row a study: features of image, clinic and report, and what came of it, as Parquet.",
    of="tables",
    write=_outcome,
    options=OutcomeOptions,
    hint=_by_pandas("studies", "studies.parquet", 'studies["outcome"].value_counts(dropna=False)'),
)
SLICE_REFERENCES = Export(
    help="Images that reports name (series 4, image 87), found in the volumes, as Parquet.",
    of="tables",
    write=_slice_references,
    options=SliceReferenceOptions,
    hint=_by_pandas(
        "references", "slice_references.parquet", 'references["outcome"].value_counts()'
    ),
)
DICOM = Export(
    help="Masks as DICOM SEG, findings as DICOM SR and FHIR Observations, under pseudonyms.",
    of="tables",
    write=_dicom,
    options=DicomOptions,
    hint=_dicom_hint,
)
WEBDATASET = Export(
    help="Samples as tar files of .npy arrays and JSON, for WebDataset.",
    write=_webdataset,
    options=WebDatasetOptions,
    hint=_webdataset_hint,
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
    hint=_huggingface_hint,
)
