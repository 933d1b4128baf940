"""What DICOM files hold: headers, pixels, series."""
