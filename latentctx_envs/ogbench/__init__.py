"""OGBench's manipulation worlds as goal environments: a second simulator for what was learned in Meta-World."""
