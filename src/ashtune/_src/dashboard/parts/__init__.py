"""The parts of the page. A part observes the events of a study, and returns plain numbers and
figures.
"""
