"""The same as the console script: `python -m tunery`."""

from trainables.command.app import main

if __name__ == "__main__":
    main()
