"""Bad days, one file per class: what is done to the program, and what must come of it."""
