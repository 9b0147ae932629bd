"""python -m snowball"""

from .cli import main

raise SystemExit(main())
