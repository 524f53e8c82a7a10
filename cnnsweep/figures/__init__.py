"""A sweep's main figures for a paper or a slide, drawn with matplotlib."""
