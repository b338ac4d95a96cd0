"""The planner: the machines that a load takes, from measured costs."""
