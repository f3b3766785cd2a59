"""`python -m jointmae_hf.cli` is the command `jointmae`, for launchers that take a module."""

from . import main


if __name__ == "__main__":
    main()
