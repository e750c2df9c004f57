"""World models of a body and what is learned with them: AIME (NeurIPS 2023) and its baselines."""
