"""Observers and analyses, which compute numbers from the events of a study."""
