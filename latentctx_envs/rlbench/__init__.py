"""RLBench's tasks behind Gymnasium's interface; CoppeliaSim, PyRep and RLBench are installed by hand."""
