"""Generators and discriminators: torch modules only."""
