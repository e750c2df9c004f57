"""Studies: what is measured, each a command whose every cell resumes and whose result is a CSV."""
