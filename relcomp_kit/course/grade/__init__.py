"""Grade what students hand in, whose code nobody has looked at.

The parent reads packs without unpacking them, starts a process for every exercise (`process`), gives it the student's
code and the arguments of the lesson's own check, and compares what comes back, plain JSON, with what the lesson
expects. No line of a student runs in the parent, and nothing that is expected goes into the child: a tick that is
printed, a check that is replaced, an early exit count for nothing. A loop without end, a flood of memory or output, and
programs that are left running end with their process.

What it does not protect against:

- A table of the cases: they stand in every student's notebook, so a function that knows them by heart is right. Neither
  does it notice a copied solution. Read what looks too good.
- Where there is no bubblewrap, a student who means harm: the fence in the child keeps off network, other programs and
  files to write to only as long as nobody climbs it with `ctypes`, and lets everything be read that you can read. Then
  grade packs of strangers in a virtual machine, or as a user who owns nothing.
- Many processes at once, if you are root, whose processes Linux does not count; and a folder filled up with small
  files within the time that an exercise has.
- Faults of Linux itself.
"""
