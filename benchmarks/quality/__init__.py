"""How good the searches are: tasks, tuners, and studies in virtual time, for ``search_quality.py``
and the like.
"""
