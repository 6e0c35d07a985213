"""A study as numbers for pictures. What draws them is elsewhere: plotly in reports and notebooks, the live page."""
