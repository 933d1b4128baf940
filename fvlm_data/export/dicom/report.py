"""The findings of a study as a DICOM structured report (TID 1500, Measurement Report)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fvlm_data.export.dicom.concepts import (
    CHANGE,
    LONG_AXIS,
    PRESENCE,
    SEVERITIES,
    SEVERITY,
    SIDES,
    STATES,
    Concept,
    own,
    structure,
)
from fvlm_data.export.dicom.derived_ids import derived_uid
from fvlm_data.export.dicom.header import MAKER, content_time, finish, study_header
from fvlm_data.hashing import content_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pydicom

    from fvlm_data.export.dicom.curated import Said, Study

PROCEDURE = Concept("77477000", "SCT", "Computed tomography")


def structured_report(
    study: Study, codes: Mapping[str, Concept], series_number: int
) -> pydicom.Dataset:
    """One document a study, a group (TID 1501) a mention, in the order of the reports.

    A group has the finding, its site and side, its state, severity and change as qualitative
    evaluations, its size as a measurement, and the scrubbed sentence as a comment. `codes` gives
    each finding's. The document is unverified: nobody has signed what a program read.
    """
    import highdicom as hd

    maker = hd.sr.ObserverContext(
        observer_type=hd.sr.CodedConcept("121007", "DCM", "Device"),
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=derived_uid("device"), name=MAKER
        ),
    )
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=maker),
        procedure_reported=hd.sr.CodedConcept(*PROCEDURE),
        imaging_measurements=[_group(said, codes) for said in study.findings],
        title=hd.sr.CodedConcept("126000", "DCM", "Imaging Measurement Report"),
        language_of_content_item_and_descendants=hd.sr.LanguageOfContentItemAndDescendants(
            hd.sr.CodedConcept("en", "RFC5646", "English")
        ),
    )
    made: Any = hd.sr.ComprehensiveSR(
        evidence=[study_header(study, study.volumes[0].volume_id)],
        content=content[0],
        series_instance_uid=derived_uid("report", study.study_id),
        series_number=series_number,
        sop_instance_uid=derived_uid(
            "report", study.study_id, content_key(study.findings, study.date, sorted(codes.items()))
        ),
        instance_number=1,
        manufacturer=MAKER,
        is_complete=True,
        series_description="findings of the reports",
        record_evidence=False,
        **content_time(study),
    )
    # the image that stood for the study's
    del made.CurrentRequestedProcedureEvidenceSequence
    finish(made)
    return made


def _group(said: Said, codes: Mapping[str, Concept]) -> Any:
    import highdicom as hd

    finding = codes.get(said.finding) or own(said.finding)
    mention = (said.report_id, str(said.sentence), str(said.start), said.finding, said.anatomy)
    site, _ = structure(said.anatomy)
    side = SIDES[said.laterality] if said.laterality else None
    group: Any = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=derived_uid("mention", *mention), identifier=":".join(mention[:3])
        ),
        finding_type=hd.sr.CodedConcept(*finding),
        finding_sites=[
            hd.sr.FindingSite(
                hd.sr.CodedConcept(*site), hd.sr.CodedConcept(*side) if side else None
            )
        ],
        measurements=[
            hd.sr.Measurement(
                name=hd.sr.CodedConcept(*LONG_AXIS),
                value=said.size_mm,
                unit=hd.sr.CodedConcept("mm", "UCUM", "mm"),
            )
        ]
        if said.size_mm is not None
        else None,
        qualitative_evaluations=[
            hd.sr.QualitativeEvaluation(hd.sr.CodedConcept(*name), hd.sr.CodedConcept(*value))
            for name, value in _evaluations(said)
        ],
    )
    group[0].ContentSequence.append(
        hd.sr.TextContentItem(
            name=hd.sr.CodedConcept("121106", "DCM", "Comment"),
            value=said.text,
            relationship_type=hd.sr.RelationshipTypeValues.CONTAINS,
        )
    )
    return group


def _evaluations(said: Said) -> Iterator[tuple[Concept, Concept]]:
    yield PRESENCE, STATES[said.status]
    if said.severity is not None:
        yield SEVERITY, SEVERITIES.get(said.severity) or own(said.severity)
    if said.change is not None:
        yield CHANGE, own(said.change)
