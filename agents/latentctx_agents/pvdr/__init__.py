"""PVDR (arXiv 2411.03169): visual dynamics learned from videos, planned with, aligned with actions online."""
