"""Training chips on disk: export, discovery, checks, statistics and splits, without torch."""
