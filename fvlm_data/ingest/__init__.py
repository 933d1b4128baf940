"""Ingest: DICOM and NIfTI trees to int16 HU volumes whose geometry is proved."""
