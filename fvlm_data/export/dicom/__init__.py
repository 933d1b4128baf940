"""What was curated as DICOM objects and FHIR resources."""
