"""Command line for scripts.

    python -m g2pdiff generate --barcode barcode.fasta --latitude 56.6 --longitude 11.3 --out picture.png

See `g2pdiff.cli`.
"""

import sys

from g2pdiff.cli import main

if __name__ == "__main__":
    sys.exit(main())
