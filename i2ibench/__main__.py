"""`python -m i2ibench` is the command `i2ibench`."""

from i2ibench.cli import main

main()
