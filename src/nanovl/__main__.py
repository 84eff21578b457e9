"""`python -m nanovl` is the command line."""

from nanovl.cli.main import run

if __name__ == "__main__":
    run()
