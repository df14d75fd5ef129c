"""What passes between a sweep and its jobs, free of heavy imports."""

# The variables by which a sweep tells a job which trial it is: set for that job alone, by any launcher.
NUMBER = "BRAIN_TUMOR_TRIAL"
STUDY = "BRAIN_TUMOR_STUDY"


class Pruned(Exception):  # noqa: N818 - no error
    """The trial is not worth going on with; the message says at which step and why."""


class TakenOver(Exception):  # noqa: N818 - no error
    """Another worker has given this trial up for dead, and tries its point again."""
