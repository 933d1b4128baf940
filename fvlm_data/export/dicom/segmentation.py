"""A label map as a DICOM Segmentation object: binary, a segment a class, on the volume's grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fvlm_data.export.dicom.concepts import Concept, own, structure
from fvlm_data.export.dicom.derived_ids import derived_uid
from fvlm_data.export.dicom.grid import grid_of
from fvlm_data.export.dicom.header import MAKER, content_time, finish
from fvlm_data.export.dicom.images import slice_headers
from fvlm_data.hashing import content_key

if TYPE_CHECKING:
    import pydicom

    from fvlm_data.export.dicom.curated import LabelMap, Study, Volume

Array = np.ndarray[Any, Any]

STRUCTURE = Concept("91723000", "SCT", "Anatomical Structure")
FAMILIES = {
    "totalsegmentator": Concept("123110", "DCM", "Artificial Intelligence"),
    "threshold": Concept("123104", "DCM", "Morphological Operations"),
}
"""Kind of algorithm of a backend (PS3.16, CID 7162)."""


LONG_STRING = 64
"""Most characters of a value of type LO."""


def segmentation(
    study: Study,
    volume: Volume,
    label_map: LabelMap,
    labels: Array,
    series_number: int,
    *,
    refer: bool,
) -> pydicom.Dataset:
    """The object of one label map; `labels` (i, j, k) are its values on the volume's grid.

    A frame is a slice k, its columns i and its rows j; slices in which a segment has no voxel are
    left out. Segments are numbered from 1 in the order of the classes' values. The frame of
    reference is the volume's own, derived from its id. With `refer` the frames name the images
    that `images.ct_images` makes of the volume, else no image.
    """
    import highdicom as hd

    grid = grid_of(volume)
    numbers = _numbered(labels, [value for value, _ in label_map.classes])
    made: Any = hd.seg.Segmentation(
        source_images=slice_headers(study, volume),
        pixel_array=numbers.transpose(2, 1, 0),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(volume, label_map, number, name)
            for number, (_, name) in enumerate(label_map.classes, 1)
        ],
        series_instance_uid=derived_uid("segmentation", volume.volume_id, label_map.task),
        series_number=series_number,
        # other content is another object: an archive never gets two of one UID
        sop_instance_uid=derived_uid(
            "segmentation", volume.volume_id, content_key(label_map, volume, study.date, refer)
        ),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=label_map.backend,
        software_versions=_version(label_map),
        device_serial_number="0",
        content_label="SEGMENTATION",
        series_description=f"{label_map.task} of {volume.volume_id}",
        pixel_measures=hd.PixelMeasuresSequence(
            pixel_spacing=grid.pixel_spacing,
            slice_thickness=grid.slice_mm,
            spacing_between_slices=grid.slice_mm,
        ),
        plane_orientation=hd.PlaneOrientationSequence("PATIENT", grid.orientation),
        plane_positions=[hd.PlanePositionSequence("PATIENT", start) for start in grid.positions],
        **content_time(study),
    )
    if not refer:
        _unrefer(made)
    _name_dimensions(made, derived_uid("dimensions", volume.volume_id, label_map.task))
    finish(made)
    return made


def _numbered(labels: Array, values: list[int]) -> Array:
    """Segment numbers in place of the classes' values; other values are background."""
    kind = np.uint8 if len(values) < 256 else np.uint16
    table = np.zeros(max(int(labels.max()), *values) + 1, kind)
    table[values] = np.arange(1, len(values) + 1)
    return table[labels]


def _segment(volume: Volume, label_map: LabelMap, number: int, name: str) -> Any:
    import highdicom as hd

    kind, side = structure(name)
    backend = label_map.backend
    described: Any = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:LONG_STRING],
        segmented_property_category=hd.sr.CodedConcept(*STRUCTURE),
        segmented_property_type=hd.sr.CodedConcept(*kind),
        # masks that were brought along may have been drawn by hand
        algorithm_type="AUTOMATIC" if backend in FAMILIES else "SEMIAUTOMATIC",
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=backend,
            family=hd.sr.CodedConcept(*FAMILIES.get(backend, own(backend))),
            version=_version(label_map),
        ),
        tracking_uid=derived_uid("segment", volume.volume_id, label_map.task, name),
        tracking_id=name,
    )
    if side is not None:
        coded = described.SegmentedPropertyTypeCodeSequence[0]
        coded.SegmentedPropertyTypeModifierCodeSequence = [hd.sr.CodedConcept(*side)]
    return described


def _version(label_map: LabelMap) -> str:
    return label_map.backend_version[:LONG_STRING] or "unknown"


def _unrefer(dataset: Any) -> None:
    """Take out the references to images that are not there."""
    groups = [*dataset.SharedFunctionalGroupsSequence, *dataset.PerFrameFunctionalGroupsSequence]
    for group in groups:
        if "DerivationImageSequence" in group:
            del group.DerivationImageSequence
    for keyword in ("ReferencedSeriesSequence", "SourceImageSequence"):
        if keyword in dataset:
            delattr(dataset, keyword)


def _name_dimensions(dataset: Any, uid: str) -> None:
    """Give the organisation of dimensions a derived UID in place of a random one."""
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
