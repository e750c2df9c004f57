"""Learners of three papers on the LatentCtx worlds."""
