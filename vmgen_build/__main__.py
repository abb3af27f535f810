"""python -m vmgen_build."""

from vmgen_build.cli.main import main

main()
