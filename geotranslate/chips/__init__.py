"""Chips on disk: export, find, check, measure and divide them, without torch."""
