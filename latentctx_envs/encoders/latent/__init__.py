"""Latent states as features: the part of a world model that filters what is seen and done."""
