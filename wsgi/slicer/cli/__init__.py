"""The command `slicer`."""
