"""AIME that goes on online, by a discriminator's surrogate reward (AIME-NoB, arXiv 2404.18896)."""
