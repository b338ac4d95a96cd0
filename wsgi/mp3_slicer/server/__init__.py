"""Starting Slicer: sizes from the machine, checks before launch, and Apache supervised in the foreground.

Standard library only, so that `slicer serve` works wherever Python does.
"""
