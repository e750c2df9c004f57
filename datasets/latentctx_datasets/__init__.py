"""Demonstrations of the LatentCtx worlds as Minari datasets."""
