"""Figures of a study as data. Plotly draws figures in notebooks, and a canvas draws figures on the
page.
"""
