"""The command `slicer`: a module for each command, with `add_arguments` and `run`, imported only where that command is given."""
