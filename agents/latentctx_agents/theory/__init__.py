"""The claims of arXiv 2305.16985 about inverse dynamics as small experiments with a known answer."""
