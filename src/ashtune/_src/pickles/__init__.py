"""Pickles functions and classes of a user's script, notebook or file, for processes that do not run
the script.
"""
