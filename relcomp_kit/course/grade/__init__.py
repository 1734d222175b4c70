"""Grade what students hand in, whose code nobody has looked at.

The parent reads packs without unpacking them (`archives`, `packs`), draws cases (`relcomp_kit.course.cases`), starts a
process for every student (`process`) and gives it the student's code and the arguments of the cases. That process
(`worker`) loads what is needed once, and makes a copy of itself for every exercise. What comes back is plain JSON,
which the parent compares with what the lesson's solution gives.

No line of a student runs in the parent. Of the kit the process holds three modules; neither a solution, nor what is
expected, nor what compares is in it. So a tick that is printed, a check that is replaced, a value that says it equals
everything, a forged answer, and an early exit count for nothing. A loop without end, a flood of memory or output, too
many processes, and programs that are left running end with their exercise or their process. Where that takes the
process along, the exercises behind it get a new one: each costs only its own mark.

What it does not protect against:

- A copied solution: the lessons are public. A table of known cases is no danger, since others are drawn.
- Where there is no bubblewrap, a student who means harm: the fence in the child keeps off network, other programs and
  files to write to only as long as nobody climbs it with `ctypes`, and lets everything be read that you can read, the
  lessons with their solutions among it. Then grade packs of strangers in a virtual machine, or as a user who owns
  nothing.
- Many processes at once, if you are root, whose processes Linux does not count: they are ended when the parent comes to
  look, some tenths of a second later.
- Where bubblewrap is older than 0.7, a folder filled up with small files within the time that an exercise has.
- Faults of Linux itself.
"""
