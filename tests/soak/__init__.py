"""Mixed real load on a whole stack for a long time, with faults injected, every body checked, and what it uses watched.

The stack is that of users: Nginx with the role's configuration, `slicer serve` behind it, Redis, and `slicer worker`.
"""
