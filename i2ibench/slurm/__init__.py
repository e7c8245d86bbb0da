"""On a Slurm cluster: settings, job scripts, submission, and checks before a job is queued."""
