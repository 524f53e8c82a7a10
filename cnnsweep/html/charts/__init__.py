"""One module a chart: from what the report knows to a figure that plotly draws, and the same in words."""
