"""The subcommands of `kerafer`: `add_arguments(parser)` and `run(parsed)`."""
