"""A human study: raters choose between two images on a page of this machine, and their answers stand in the report."""
