"""Grade what students hand in, whose code nobody has looked at.

The parent reads packs without unpacking them (`archives`, `packs`), draws cases (`relcomp_kit.course.cases`), starts a
process for every student (`process`) and gives it the student's code and the arguments of the cases. That process
(`worker`) loads what is needed once, and makes a copy of itself for every exercise. What comes back is plain JSON,
which the parent compares with what the lesson's solution gives.

No line of a student's code runs in the parent. The process holds three modules of the kit; solutions, expected results
and the comparison are not in it. So it does not help to print a tick, to replace a check, to return a value that claims
to equal everything, to forge an answer, or to exit early. Endless loops, too much memory or output, too many
processes, and programs left running end with their exercise or their process. If the process ends, the remaining
exercises get a new one: each fault costs only its own mark.

What it does not protect against:

- A copied solution: the lessons are public. A table of known cases is no danger, since others are drawn.
- A student who means harm, where bubblewrap is missing. The limits set inside the process keep code from the network,
  other programs and writing files, but `ctypes` gets around them. And the code can read every file that you can read,
  also the lessons with their solutions. In that case, grade strangers' packs in a virtual machine, or as a user who
  owns nothing.
- Many processes at once, if you are root, because Linux does not count root's processes. The parent ends them when it
  looks, some tenths of a second later.
- Where bubblewrap is older than 0.7, a folder filled up with small files within the time that an exercise has.
- Faults of Linux itself.
"""
