"""`python -m regiongate` is `regiongate`."""

from regiongate.cli import main

main()
