"""Visual dynamics as features: the parts of a video model (PVDR, arXiv 2411.03169) that see and never look ahead."""
