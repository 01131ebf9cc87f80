"""`python -m emdc` is the same program as `emdc`."""

from emdc.cli import main

if __name__ == "__main__":
    main()
