"""What is known of patients beside images and reports: from files to table `clinical`."""
