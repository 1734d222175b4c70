"""Sweeps: a grid of points of one experiment, on the cores of this machine or on a Dask cluster, a JSON record a point.

`plan` reads which points are wanted, `experiments` knows what can be run, `point` runs one and makes its record,
`local` and `cluster` run many, `run` runs those that have no record yet.

To add an experiment, write a function with annotated parameters that returns its measurements by name, in a module that
has a ``VERSION``, and give it a name by `experiments.register`. `relcomp_kit.studies` registers those of the kit.
"""
