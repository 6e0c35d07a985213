"""Figures of a study as data. Plotly draws figures in reports, and a canvas draws figures on the live page."""
