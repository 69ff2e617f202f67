"""The same as the console script: `python -m trainables.command`."""

from trainables.command.app import main

if __name__ == "__main__":
    main()
