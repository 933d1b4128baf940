"""Export `slice-references`: the images that reports name, found in the volumes of their study."""
