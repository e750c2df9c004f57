"""Dreamer (arXiv 1912.01603) and Plan2Explore (arXiv 2005.05960) on AIME's world model: they make its experience."""
