"""Profiles of what workers train: the files, the two profilers, and what switches them on and off."""
