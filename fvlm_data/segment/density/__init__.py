"""Body, lungs, airways and bones of a CT by density and shape, on a grid of about 2 mm."""
