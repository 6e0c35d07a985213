"""Observers: events in, numbers out, nothing drawn."""
