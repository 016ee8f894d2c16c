"""How good are the made pictures? Frames are taken out of whole clips, made anew by several methods, and compared.

`sets` finds and reads clips, `windows` says what is taken out, `methods` make it, `metrics` and `motion` compare,
`run` does all of it and remembers, `tables`, `plots` and `sheets` show it.
"""
