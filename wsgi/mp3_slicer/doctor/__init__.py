"""Checks of an installation, and of a machine that the Ansible roles set up.

Standard library only, as in `server`.
"""
